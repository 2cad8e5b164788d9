"""`inventory import` and `inventory export`: a catalogue from a CSV file, and to one."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs
import click

from inventory_adapters.catalogue.exports import export_items
from inventory_adapters.catalogue.imports import (
    FORMATS,
    Import,
    UnreadableFileError,
    import_items,
)
from inventory_adapters.catalogue.outcomes import RowOutcome
from inventory_adapters.cli.options import AS_JSON, JSON
from inventory_adapters.cli.output import counted, printable
from inventory_adapters.cli.storage import Storage, storage_options
from inventory_adapters.wire import to_json

__all__ = ["export_command", "import_command"]

_REFUSED: Final = 1

# Across a network, writes wait more than they work.
_IN_FLIGHT: Final = 8

# Smaller files are done before a person could read how far we are.
_WORTH_TELLING: Final = 1 << 20

_RESULTS: Final = ("created", "updated", "unchanged", "refused", "skipped")


class _CannotImportError(click.ClickException):
    exit_code = 2


@click.command("import", short_help="Import items from a CSV file.")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["auto", *sorted(FORMATS)]),
    default="auto",
    show_default=True,
    help="What wrote the file; auto tells by its header.",
)
@click.option("--dry-run", is_flag=True, help="Write nothing, and say the same.")
@click.option(
    "--on-error",
    type=click.Choice(["skip", "stop"]),
    default="skip",
    show_default=True,
    help="Go on after a row that is refused, or leave out all behind it.",
)
@click.option(
    "--update-stock",
    is_flag=True,
    help="Write quantities that differ from those on the books; else they are only told.",
)
@click.option(
    "--negative",
    type=click.Choice(["refuse", "zero"]),
    default="refuse",
    show_default=True,
    help="Refuse negative quantities, or take them as 0.",
)
@click.option(
    "--location",
    metavar="NAME",
    default="default",
    show_default=True,
    help="Where items are kept of which the file does not say.",
)
@click.option(
    "--verbose", "-v", is_flag=True, help="Tell of every row, not only of what to look at."
)
@storage_options()
@JSON
def import_command(
    storage: Storage, *, file: Any, kind: str, verbose: bool, as_json: bool, **choices: Any
) -> None:
    """
    Bring the items of a CSV FILE onto the books; - is the standard input.

    FILE comes from `inventory export`, from Shopify (products) or from Square (item library). A row with an item_id is about
    that item; any other is about the one with its SKU at its location, or makes it. Interrupted, it is simply run again.

    Exits with 1 if a row was refused.
    """
    in_flight = _IN_FLIGHT if storage.kind == "dynamodb" else 1
    try:
        with (
            storage.opened(missing="empty" if choices["dry_run"] else "create") as inventory,
            _progress(quiet=as_json) as progress,
            import_items(
                inventory, file, format=kind, in_flight=in_flight, progress=progress, **choices
            ) as run,
        ):
            (_print_json if as_json else _print_lines)(
                run, dry_run=choices["dry_run"], verbose=verbose
            )
    except UnreadableFileError as error:
        raise _CannotImportError(f"{error}.") from error
    click.get_current_context().exit(_REFUSED if run.counts["refused"] else 0)


def _print_json(run: Import, *, dry_run: bool, verbose: bool) -> None:
    """
    Print one document, row by row, for files of any length.

    ``{"format": "shopify", "dry_run": false, "notes": [...], "rows": [{"line": 2, "result": "created", ...}, ...],
    "summary": {"created": 1, ...}}``
    """
    del verbose  # A program gets all rows.
    about = {"format": run.format, "dry_run": dry_run, "notes": list(run.notes)}
    click.echo(f'{to_json(about)[:-1]}, "rows": [', nl=False)
    try:
        for number, outcome in enumerate(run):
            found = attrs.asdict(outcome).items()
            row = {name: it for name, it in found if it not in (None, (), False)}
            click.echo(f"{', ' if number else ''}{to_json(row)}", nl=False)
    except BaseException:
        # The document is ended properly; what went wrong is told beside it.
        click.get_current_context().meta[AS_JSON] = False
        raise
    finally:
        summary = {it: run.counts[it] for it in _RESULTS}
        summary |= {"quantities_left": run.quantities_left}
        click.echo(f'], "summary": {to_json(summary)}, "stopped": {to_json(run.is_stopped)}}}')


def _print_lines(run: Import, *, dry_run: bool, verbose: bool) -> None:
    for note in run.notes:
        click.echo(printable(note), err=True)
    is_done = False
    try:
        for outcome in run:
            if verbose or outcome.result == "refused" or outcome.notes:
                click.echo(_line(outcome))
        is_done = True
    finally:
        _print_summary(run, dry_run=dry_run, is_done=is_done)


def _print_summary(run: Import, *, dry_run: bool, is_done: bool) -> None:
    told = ", ".join(f"{run.counts[it]} {it}" for it in _RESULTS)
    click.echo(f"{counted(run.counts.total(), 'rows')} ({run.format}): {told}.", err=True)
    if run.quantities_left:
        left = run.quantities_left
        differ = "1 quantity differs" if left == 1 else f"{left} quantities differ"
        click.echo(f"{differ} from the books, and stayed: see --update-stock.", err=True)
    if run.is_stopped:
        click.echo("Stopped: what comes after the refused row was left out.", err=True)
    if not is_done:
        click.echo("Interrupted: run it again, and it goes on where it stopped.", err=True)
    if dry_run:
        click.echo("Nothing was written: this was a dry run.", err=True)


def _line(outcome: RowOutcome) -> str:
    """Return ``line 17: refused: Price "abc" must be a price such as 12.50``."""
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
    """Lend what tells a person how far we are: a bar on a terminal, else lines."""
    if quiet:
        yield None
    elif not sys.stderr.isatty():
        yield _told_in_lines()
    else:
        from rich.console import Console  # noqa: PLC0415 - takes its time
        from rich.progress import Progress  # noqa: PLC0415 - as above

        # Lines for people go above the bar; a file that stdout is sent to gets them as they are.
        with Progress(
            console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()
        ) as bar:
            task = bar.add_task("Importing", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


def _told_in_lines() -> Callable[[int, int], None]:
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // total if total else 10
        if total >= _WORTH_TELLING and tenth > told:
            told = tenth
            click.echo(f"{10 * tenth} % read", err=True)

    return progress


@click.command("export", short_help="Export all items to a CSV file.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@storage_options()
@JSON
def export_command(storage: Storage, *, file: str, as_json: bool) -> None:
    """
    Write all items to a CSV FILE, which a spreadsheet opens and `inventory import` takes; - is the standard output.

    Each row carries the version and the seq of its item: imported again, it changes nothing that has changed since.
    """
    with storage.opened() as inventory:
        count = export_items(inventory, sys.stdout.buffer if file == "-" else file)
    # Not on stdout where that is the file.
    told = (
        to_json({"file": file, "count": count})
        if as_json
        else f"{counted(count, 'items')} exported."
    )
    click.echo(told, err=file == "-" or not as_json)
