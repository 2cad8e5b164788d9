"""`inventory webhooks`: where the events of a file are delivered to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import click

from inventory_adapters.cli.errors import REJECTED
from inventory_adapters.cli.options import JSON
from inventory_adapters.cli.output import counted, show_list
from inventory_adapters.cli.storage import Storage, storage_options
from inventory_adapters.wire import to_json

if TYPE_CHECKING:
    from inventory_adapters.storage.sqlite import SqliteRepository
    from inventory_adapters.storage.sqlite.outbox import Outbox

__all__ = ["webhooks"]

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_FILE: Final = "file:"


@click.group(short_help="Send events to other systems.")
def webhooks() -> None:
    """
    Send events to other systems: what happened to items, stock and reservations.

    Every program that writes to the SQLite file writes events too, and `inventory serve` delivers them.
    """


def _target(_ctx: click.Context, _argument: click.Parameter, value: str) -> str:
    if value.startswith(_FILE):
        path = Path(value.removeprefix(_FILE)).absolute()
        if not path.parent.is_dir():
            raise click.BadParameter(f"there is no folder {path.parent}")
        return f"{_FILE}{path}"
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise click.BadParameter("must be https://HOST/PATH, or file:PATH")
    return value


def _secret(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    from inventory_adapters.events.webhooks import is_secret  # with `outbox`, an eighth of a start

    if value is not None and not is_secret(value):
        raise click.BadParameter("must be whsec_ and 24 to 64 bytes in base64")
    return value


_NAME: Final = click.argument("name")


@webhooks.command(short_help="Send events to a URL or a file.")
@_NAME
@click.argument("target", callback=_target)
@click.option(
    "--secret",
    envvar="INVENTORY_WEBHOOK_SECRET",
    show_envvar=True,
    callback=_secret,
    help="Sign with this secret, such as a former one. By default, with a new one.",
)
@storage_options(with_api=False)
def add(storage: Storage, *, name: str, target: str, secret: str | None) -> None:
    """
    Send the events from now on to TARGET, under NAME.

    TARGET is https://HOST/PATH, or file:PATH for a file that events are appended to, one per line.
    """
    from inventory_adapters.events.webhooks import new_secret
    from inventory_adapters.storage.sqlite.outbox import Sink

    is_file = target.startswith(_FILE)
    if is_file and secret is not None:
        raise click.UsageError("A file needs no --secret.")
    if not name.isprintable() or not name:
        raise click.UsageError("NAME must be printable.")
    sink = Sink(name=name, target=target, secret=None if is_file else secret or new_secret())
    with _opened(storage) as outbox:
        if not outbox.add(sink):
            click.echo(f"Error: There is a webhook {name} already.", err=True)
            click.get_current_context().exit(REJECTED)
    click.echo(f"Events go to {target}, while `inventory serve` runs on the file.")
    if sink.secret is not None:
        click.echo(f"Its signatures are made with this secret: {sink.secret}")
        parts = urlsplit(target)
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            click.echo("Events cross the network unencrypted. Use https.", err=True)


@webhooks.command("list", short_help="List the webhooks.")
@storage_options(with_api=False)
@JSON
def list_command(storage: Storage, *, as_json: bool) -> None:
    """List the webhooks, with the number of events that they have not got yet, and that they did not take."""
    with _opened(storage) as outbox:
        rows: list[dict[str, Any]] = []
        for sink in outbox.sinks():
            pending, parked = outbox.counts(sink)
            state = {"failing_since": sink.failing_since, "retry_at": sink.retry_at}
            counts = {"pending": pending, "parked": parked}
            rows.append({"name": sink.name, "target": sink.target, **counts, **state})
    if as_json:
        click.echo(to_json({"webhooks": rows, "count": len(rows)}))
    else:
        show_list("webhooks", rows)


@webhooks.command(short_help="Remove a webhook.")
@_NAME
@storage_options(with_api=False)
def remove(storage: Storage, *, name: str) -> None:
    """Send no more events to NAME, and forget those that it has not got."""
    with _opened(storage) as outbox:
        if not outbox.remove(name):
            _refuse(name)
    click.echo(f"{name} removed.")


@webhooks.command(short_help="Send events again that were not taken.")
@_NAME
@storage_options(with_api=False)
def resend(storage: Storage, *, name: str) -> None:
    """Send the events again that NAME did not take."""
    with _opened(storage) as outbox:
        if name not in {sink.name for sink in outbox.sinks()}:
            _refuse(name)
        count = outbox.resend(name)
    click.echo(f"{counted(count, 'events')} will be sent again.")


def _refuse(name: str) -> None:
    click.echo(f"Error: There is no webhook {name}. List them: inventory webhooks list", err=True)
    click.get_current_context().exit(REJECTED)


@contextmanager
def _opened(storage: Storage) -> "Iterator[Outbox]":
    if storage.kind != "sqlite":
        raise click.UsageError(
            "Webhooks belong to a SQLite file; a deployment sends to EventBridge."
        )
    with storage.opened() as inventory:
        yield cast("SqliteRepository", inventory.repository).outbox()
