"""`inventory import` and `inventory export`: import items from a file and export them."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from inventory_adapters.catalogue.any_table import TableFormat
from inventory_adapters.catalogue.exports import export_items
from inventory_adapters.catalogue.imports import (
    DECIMALS,
    FORMATS,
    Import,
    UnreadableFileError,
    import_items,
)
from inventory_adapters.catalogue.mappings import TABLE_CHOICES, load_mapping, save_mapping
from inventory_adapters.catalogue.outcomes import RESULTS, RowOutcome
from inventory_adapters.cli.options import AS_JSON, JSON
from inventory_adapters.cli.output import counted, printable
from inventory_adapters.cli.storage import Api, Storage, storage_options
from inventory_adapters.wire import to_json

__all__ = ["export_command", "import_command"]

_REFUSED: Final = 1

# A write to DynamoDB or to an API mostly waits for the network.
_IN_FLIGHT: Final = 1
_IN_FLIGHT_REMOTELY: Final = 8

# Smaller files are imported before a person could read the progress.
_MIN_PROGRESS_BYTES: Final = 1 << 20

# The number of rows shown per reason of rejection; more would hide the other reasons.
_MOST_ALIKE: Final = 20

# The length of a sample's text.
_MOST_SHOWN: Final = 60


class _CannotImportError(click.ClickException):
    exit_code = 2


@click.command("import", short_help="Import items from a file.")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["auto", *sorted(FORMATS)]),
    metavar="FORMAT",
    default="auto",
    show_default=True,
    help=f"File format: {', '.join(sorted(FORMATS))}, or `auto` to detect it from the columns.",
)
@click.option(
    "--column",
    "columns",
    metavar="FIELD=COLUMN",
    multiple=True,
    help="Read FIELD from COLUMN, in a table of no known format; repeatable. `FIELD=` reads none.",
)
@click.option(
    "--keep-columns",
    metavar="NAME,…",
    help="Also keep these columns as attributes; barcode, vendor and cost of the shops named below are kept by default.",
)
@click.option(
    "--mapping",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Take --column, --keep-columns, --category, --location, --decimal, --encoding and --delimiter from FILE; "
    "if it does not exist, save them there.",
)
@click.option("--dry-run", is_flag=True, help="Show what would change without writing anything.")
@click.option(
    "--on-error",
    type=click.Choice(["skip", "stop"]),
    default="skip",
    show_default=True,
    help="Skip rejected rows, or stop at the first one.",
)
@click.option(
    "--update-stock",
    is_flag=True,
    help="Update quantities that differ. By default they are only reported.",
)
@click.option(
    "--negative",
    type=click.Choice(["refuse", "zero"]),
    default="refuse",
    show_default=True,
    help="Reject negative quantities, or take them as 0.",
)
@click.option(
    "--location",
    metavar="NAME",
    help="Location for rows that don't specify one.  [default: default]",
)
@click.option("--category", metavar="NAME", help="Category of new items that don't specify one.")
@click.option(
    "--decimal",
    type=click.Choice([*DECIMALS]),
    help="Decimal mark of the numbers. By default it is found in the file.",
)
@click.option("--encoding", metavar="NAME", help="Encoding of a text file, such as cp1252.")
@click.option(
    "--delimiter", metavar="NAME", help="comma, semicolon, tab, pipe, or any other character."
)
@click.option(
    "--yes", is_flag=True, help="Import into an empty inventory although there are warnings."
)
@click.option(
    "--verbose",
    "-v",
    is_flag=True,
    help="Show every row, not just rejected ones and ones with notes.",
)
@storage_options()
@JSON
def import_command(
    storage: Storage | Api,
    *,
    file: Any,
    kind: str,
    mapping: str | None,
    yes: bool,
    verbose: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """
    Import items from a FILE (use - for stdin).

    FILE is a CSV file or a workbook (xlsx, xls, ods): from `inventory export`, from Shopify, Square, WooCommerce, Magento,
    Lightspeed, Odoo or Loyverse, or any table with SKUs. A row with an item_id is about that item; any other is about the one
    with its SKU at its location, or creates it. If interrupted, run it again.

    Exits with 1 if a row was rejected.
    """
    in_flight = _IN_FLIGHT_REMOTELY if storage.is_remote else _IN_FLIGHT
    table_choices = {name: choices.pop(name) for name in TABLE_CHOICES}
    table_choices["columns"] = _columns(table_choices["columns"])
    try:
        if mapping is not None:
            table_choices = _with_mapping(Path(mapping), table_choices)
        given = {name: value for name, value in table_choices.items() if value}
        with (
            storage.opened(missing="empty" if choices["dry_run"] else "create") as inventory,
            _progress(quiet=as_json) as progress,
            import_items(
                inventory,
                file,
                format=kind,
                accept_warnings=yes,
                in_flight=in_flight,
                progress=progress,
                **given,
                **choices,
            ) as run,
        ):
            if mapping is not None and not Path(mapping).exists():
                save_mapping(Path(mapping), {**given, "columns": _mapped(run, given)})
            (_print_json if as_json else _print_lines)(
                run, dry_run=choices["dry_run"], verbose=verbose
            )
    except UnreadableFileError as error:
        raise _CannotImportError(f"{str(error).removesuffix('.')}.") from error
    click.get_current_context().exit(_REFUSED if run.counts["refused"] else 0)


def _columns(options: tuple[str, ...]) -> dict[str, str]:
    columns = {}
    for option in options:
        field, sign, name = option.partition("=")
        if not sign:
            raise click.BadParameter(f"{option} is not FIELD=COLUMN", param_hint="--column")
        columns[field.strip()] = name.strip()
    return columns


def _with_mapping(path: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Return the options saved in a file, overridden by those of the command line."""
    if not path.exists():
        return given
    saved = load_mapping(path)
    columns = {**saved.get("columns", {}), **given["columns"]}
    return {**saved, **{name: value for name, value in given.items() if value}, "columns": columns}


def _mapped(run: Import, given: dict[str, Any]) -> dict[str, str]:
    """Return the columns to save: all of a table; none of a format whose columns are known."""
    is_table = run.format == TableFormat.name or "columns" in given
    return {**run.mapping, **given.get("columns", {})} if is_table else {}


def _print_json(run: Import, *, dry_run: bool, verbose: bool) -> None:
    """
    Print one document, row by row, for files of any length.

    ``{"format": "shopify", "dry_run": false, "notes": [...], "rows": [{"line": 2, "result": "created", ...}, ...],
    "summary": {"created": 1, ...}}``
    """
    del verbose  # JSON always has all rows.
    about = {**run.about, "dry_run": dry_run}
    click.echo(f'{to_json(about)[:-1]}, "rows": [', nl=False)
    try:
        for number, outcome in enumerate(run):
            click.echo(f"{', ' if number else ''}{to_json(outcome.wire)}", nl=False)
    except BaseException:
        # The document is completed below, so the error is printed on stderr.
        click.get_current_context().meta[AS_JSON] = False
        raise
    finally:
        summary = run.summary
        stopped = summary.pop("stopped")
        click.echo(f'], "summary": {to_json(summary)}, "stopped": {to_json(stopped)}}}')


def _print_lines(run: Import, *, dry_run: bool, verbose: bool) -> None:
    for warning in run.warnings:
        click.echo(printable(f"Warning: {warning}"), err=True)
    for note in run.notes:
        click.echo(printable(note), err=True)
    if dry_run:
        _print_reading(run)
    is_done = False
    alike: Counter[tuple[str | None, str | None]] = Counter()
    try:
        for outcome in run:
            is_shown = bool(outcome.notes)
            if outcome.result == "refused":
                alike[outcome.column, outcome.reason] += 1
                is_shown = alike[outcome.column, outcome.reason] <= _MOST_ALIKE
            if verbose or is_shown:
                click.echo(_line(outcome))
        is_done = True
    finally:
        hidden = sum(max(0, count - _MOST_ALIKE) for count in alike.values())
        if hidden and not verbose:
            click.echo(f"{counted(hidden, 'more rows')} refused for the same reasons.", err=True)
        _print_summary(run, dry_run=dry_run, is_done=is_done)


def _print_reading(run: Import) -> None:
    """Show how the file is read, and its first rows as they would be stored."""
    text = ", ".join(filter(None, (run.encoding, run.delimiter and f"{run.delimiter}-delimited")))
    click.echo(f"Format: {run.title} ({run.format}){f'; {text}' if text else ''}", err=True)
    click.echo(printable(f"Numbers: {run.numbers}"), err=True)
    columns = ", ".join(f"{field} = {name}" for field, name in run.mapping.items())
    click.echo(printable(f"Columns: {columns}"), err=True)
    for number, sample in enumerate(run.samples, start=1):
        fields = ", ".join(
            f"{field} {_shortened(str(value))}" for field, value in sample.items() if value != ""
        )
        click.echo(printable(f"Sample {number}: {fields}"), err=True)


def _shortened(value: str) -> str:
    text = " ".join(value.split())
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def _print_summary(run: Import, *, dry_run: bool, is_done: bool) -> None:
    results = ", ".join(f"{run.counts[result]} {result}" for result in RESULTS)
    click.echo(f"{counted(run.counts.total(), 'rows')} ({run.format}): {results}.", err=True)
    if run.refused_columns:
        columns = ", ".join(
            f"{name} ({count})" for name, count in run.refused_columns.most_common()
        )
        click.echo(printable(f"Refused by column: {columns}."), err=True)
    if run.left_out:
        columns = ", ".join(f"{name} ({count})" for name, count in run.left_out.items())
        click.echo(printable(f"Not imported, by column (filled cells): {columns}."), err=True)
    if run.quantities_left:
        left = run.quantities_left
        differ = "1 quantity differs" if left == 1 else f"{left} quantities differ"
        click.echo(f"{differ} from the stored stock, unchanged: see --update-stock.", err=True)
    if run.is_stopped:
        click.echo("Stopped: the rows after the refused one were left out.", err=True)
    if not is_done:
        click.echo("Interrupted: run it again to continue where it stopped.", err=True)
    if dry_run:
        click.echo("Nothing was written: this was a dry run.", err=True)


def _line(outcome: RowOutcome) -> str:
    """Return ``line 17: refused MUG-1 at default: Price "abc" must be a number such as 12.50``."""
    parts = [f"line {outcome.line}: {outcome.result}"]
    if outcome.sku is not None:
        parts[0] += f" {outcome.sku} at {outcome.location}"
    if outcome.changes:
        parts.append(", ".join(outcome.changes))
    if outcome.reason is not None:
        value = "" if outcome.value is None else f' "{outcome.value}"'
        parts.append(f"{outcome.column or ''}{value} {outcome.reason}".strip())
    return printable("; ".join([": ".join(parts), *outcome.also, *outcome.notes]))


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function that shows the progress: as a bar on a terminal, else as lines."""
    if quiet:
        yield None
    elif not sys.stderr.isatty():
        yield _progress_lines()
    else:
        from rich.console import Console  # 12 % of a start
        from rich.progress import Progress

        # On a terminal, output appears above the bar. Redirected output is not changed.
        with Progress(
            console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()
        ) as bar:
            task = bar.add_task("Importing", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


def _progress_lines() -> Callable[[int, int], None]:
    printed = 0

    def progress(done: int, total: int) -> None:
        nonlocal printed
        tenth = 10 * done // total if total else 10
        if total >= _MIN_PROGRESS_BYTES and tenth > printed:
            printed = tenth
            click.echo(f"{10 * tenth} % read", err=True)

    return progress


@click.command("export", short_help="Export all items to a CSV file.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@storage_options()
@JSON
def export_command(storage: Storage | Api, *, file: str, as_json: bool) -> None:
    """
    Export all items to a CSV FILE (use - for stdout), for spreadsheets and `inventory import`.

    Each row has the version and seq of its item, so importing the file again does not overwrite later changes.
    """
    with storage.opened() as inventory:
        count = export_items(inventory, sys.stdout.buffer if file == "-" else file)
    message = (
        to_json({"file": file, "count": count})
        if as_json
        else f"{counted(count, 'items')} exported."
    )
    # On stderr if stdout is the file.
    click.echo(message, err=file == "-" or not as_json)
