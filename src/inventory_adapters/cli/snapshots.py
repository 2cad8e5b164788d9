"""`inventory copy`, `backup` and `restore`: every record, to another storage or to a file."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

import click

from inventory.errors import SourceChangedError
from inventory.items import Timestamp
from inventory.service import Inventory
from inventory.snapshots import SnapshotRepository, Tally, copy, restore
from inventory_adapters.cli.errors import REJECTED, CommandError
from inventory_adapters.cli.output import counted, show_progress
from inventory_adapters.cli.storage import Storage, storage_options

__all__ = ["backup_command", "copy_command", "restore_command"]

_DATABASE: Final = ".sqlite3"
_TEXT: Final = ".jsonl.gz"

_THINGS: Final = {
    "Item": "items",
    "Movement": "movements",
    "IdempotencyRecord": "idempotency records",
    "Reservation": "reservations",
}

_EXISTING: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW: Final = click.Path(dir_okay=False, path_type=Path)


@click.command("copy", short_help="Copy everything to another storage.")
@click.option(
    "--from", "source_file", type=_EXISTING, metavar="FILE", help="Copy this SQLite file."
)
@click.option("--from-dynamodb", is_flag=True, help="Copy the DynamoDB tables.")
@click.option(
    "--to",
    "target_file",
    type=_NEW,
    metavar="FILE",
    help="Copy to this SQLite file, created if missing.",
)
@click.option("--to-dynamodb", is_flag=True, help="Copy to the DynamoDB tables, which must exist.")
@click.option("--table", metavar="NAME", help="The table of items; the ledger is NAME-ledger.")
def copy_command(
    *,
    source_file: Path | None,
    from_dynamodb: bool,
    target_file: Path | None,
    to_dynamodb: bool,
    table: str | None,
) -> None:
    """
    Copy items, movements, reservations and idempotency records between a SQLite file and DynamoDB tables.

    The target must be empty, and nobody may write to either meanwhile. A copy that was interrupted is continued by the same
    command. At the end, source and target are compared record by record, and reconciled.
    """
    for name, file, dynamodb in (
        ("from", source_file, from_dynamodb),
        ("to", target_file, to_dynamodb),
    ):
        if (file is not None) == dynamodb:
            raise click.UsageError(f"Use either --{name} or --{name}-dynamodb.")
    if from_dynamodb and to_dynamodb:
        raise click.UsageError("Copy tables to tables with DynamoDB's own backups.")
    if (table is not None) != (from_dynamodb or to_dynamodb):
        raise click.UsageError("--table belongs to --from-dynamodb or --to-dynamodb.")
    source, target = _storage(source_file, table), _storage(target_file, table)
    _warn_of_writers(source)
    with source.opened() as inventory, target.opened(missing="create") as copied:
        tally = copy(
            _snapshots(inventory),
            _snapshots(copied),
            restore_id=_id_of(source),
            at=_now(),
            progress=_progress("copied"),
        )
        show_progress("")
        _report("copied", tally, str(target))
        _reconcile({str(source): inventory, str(target): copied})


@click.command("backup", short_help="Back up everything to a file.")
@click.argument("file", type=_NEW)
@storage_options(with_api=False)
def backup_command(storage: Storage, *, file: Path) -> None:
    """
    Back up items, movements, reservations and idempotency records to FILE.

    Its ending selects the format: `.sqlite3` is a copy of the database, which can be used directly; `.jsonl.gz` is text, of
    any storage. A database is copied as it is at one moment, also while a server writes to it. Nobody may write to DynamoDB
    tables meanwhile; their own backups have no such limit.
    """
    ending = _ending(file)
    if storage.is_remote and ending == _DATABASE:
        raise click.UsageError(
            f"A backup of DynamoDB tables ends with {_TEXT}. For a database, use: inventory copy --from-dynamodb"
        )
    if file.exists():
        raise CommandError(f"{file} already exists. Choose another name.")
    from inventory_adapters.storage.sqlite import SqliteRepository  # with cattrs, as below

    _warn_of_writers(storage)
    with storage.opened() as inventory, _new_file(file) as unfinished:
        repository = _snapshots(inventory)
        if ending == _DATABASE and isinstance(repository, SqliteRepository):
            repository.back_up(unfinished)
        else:
            _write_text(repository, unfinished, check=storage.is_remote)
    show_progress("")
    click.echo(f"{storage} backed up to {file}.")


@click.command("restore", short_help="Restore everything from a backup.")
@click.argument("file", type=_EXISTING)
@storage_options(with_api=False)
def restore_command(storage: Storage, *, file: Path) -> None:
    """
    Restore a backup to an empty database or empty DynamoDB tables.

    A missing database is created. Nothing is stored if the file is damaged. A restore that was interrupted is continued by
    the same command.
    """
    ending = _ending(file)
    backup = _storage(file, None)
    settings: dict[str, Any] = {
        "restore_id": _id_of(backup),
        "at": _now(),
        "progress": _progress("restored"),
    }
    if ending == _TEXT:
        from inventory_adapters.snapshots import read_snapshot  # cattrs takes 15 % of a start

        show_progress("Checking the file")
        for _ in read_snapshot(file):
            pass
        with storage.opened(missing="create") as inventory:
            tally = restore(read_snapshot(file), _snapshots(inventory), **settings)
    else:
        with backup.opened() as saved, storage.opened(missing="create") as inventory:
            tally = copy(_snapshots(saved), _snapshots(inventory), **settings)
    show_progress("")
    _report("restored", tally, str(storage))


def _storage(file: Path | None, table: str | None) -> Storage:
    return Storage(
        kind="dynamodb" if file is None else "sqlite",
        db=str(file),
        table=table or "",
        index_projection="all",
        durability="full",
        actor=None,
    )


def _snapshots(inventory: Inventory) -> SnapshotRepository:
    return cast("SnapshotRepository", inventory.repository)  # As all of `bootstrap` are.


def _id_of(source: Storage) -> str:
    """Return the ID of a restore, the same for the same source, so that a repeated command continues it."""
    return sha256(str(source).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _now() -> Timestamp:
    return Timestamp.of(datetime.now(UTC))


def _progress(verb: str) -> Callable[[int], None]:
    return lambda count: show_progress(f"{counted(count, 'records')} {verb}")


def _ending(file: Path) -> str:
    for ending in (_DATABASE, _TEXT):
        if file.name.endswith(ending):
            return ending
    raise click.UsageError(f"The name of a backup ends with {_DATABASE} or {_TEXT}.")


def _warn_of_writers(source: Storage) -> None:
    if source.is_remote:
        click.echo(
            "Nobody may write to the tables now: stop their clients, and disable the EventBridge rule that sweeps them, "
            f"by default {source.table}-expire-reservations.",
            err=True,
        )


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary file, for its owner alone, that becomes *path* when the block succeeds."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    unfinished = Path(name)
    try:
        yield unfinished
        os.fsync(descriptor)
        unfinished.rename(path)
    except BaseException:
        unfinished.unlink()
        raise
    finally:
        os.close(descriptor)


def _write_text(repository: SnapshotRepository, path: Path, *, check: bool) -> None:
    from inventory_adapters.snapshots import read_snapshot, write_snapshot

    with path.open("wb") as file:
        write_snapshot(file, repository.snapshot())
    if check and Tally.of(read_snapshot(path)) != Tally.of(repository.snapshot()):
        raise SourceChangedError


def _report(verb: str, tally: Tally, target: str) -> None:
    counts = [counted(tally.counts[name], things) for name, things in _THINGS.items()]
    click.echo(f"{', '.join(counts)} {verb} to {target}. All records are equal.")


def _reconcile(inventories: Mapping[str, Inventory]) -> None:
    """Reconcile each of *inventories*; exit with 1 if anything was found."""
    findings = 0
    for name, inventory in inventories.items():
        found = sum(1 for _ in inventory.reconcile(progress=_progress("checked")))
        show_progress("")
        hint = ", shown by `inventory reconcile`" if found else ""
        click.echo(f"Reconciled {name}: {counted(found, 'findings')}{hint}.")
        findings += found
    click.get_current_context().exit(REJECTED if findings else 0)
