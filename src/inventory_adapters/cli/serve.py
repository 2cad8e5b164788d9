"""`inventory serve`: the HTTP API and the console page on this machine."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inventory.service import Inventory
from inventory.timeouts import deadline
from inventory_adapters import logs
from inventory_adapters.cli.errors import CommandError
from inventory_adapters.cli.operations import ANSWER_SECONDS
from inventory_adapters.cli.storage import Api, Storage, storage_options, was_typed
from inventory_adapters.wire import to_json

if TYPE_CHECKING:
    from inventory_adapters.server.gateway import Site
    from inventory_adapters.server.metrics import Metrics
    from inventory_adapters.storage.sqlite.outbox import Outbox

__all__ = ["serve"]


def _origins(
    _ctx: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    for value in values:
        # Browsers send an origin without a path or final slash, so a value with one would never match.
        if value != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", value):
            raise click.BadParameter(
                f"{value!r} is neither * nor an origin such as https://shop.example.com"
            )
    return values


def _hosts(
    _ctx: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    for value in values:
        if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", value):
            raise click.BadParameter(f"{value!r} is not a host such as inventory or inventory:8080")
    return values


def _metrics(outbox: "Outbox | None") -> "Metrics | None":
    try:
        from inventory_adapters.server.metrics import Metrics  # prometheus_client is optional
    except ModuleNotFoundError:
        return None
    return Metrics(outbox)


@click.command(short_help="Serve the HTTP API and the console page.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    default=8080,
    show_default=True,
    help="Port to listen on; 0 selects a free one.",
)
@storage_options(with_memory=True)
@click.option(
    "--sweep-seconds",
    type=click.IntRange(0, 86400),
    metavar="N",
    default=60,
    show_default=True,
    help="Interval at which due reservations are expired; 0 for never.",
)
@click.option(
    "--allowed-origin",
    "allowed_origins",
    metavar="ORIGIN",
    multiple=True,
    callback=_origins,
    help="Allow pages of this origin to use the API; * for all. Can be repeated.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    metavar="HOST",
    multiple=True,
    callback=_hosts,
    help="Accept requests for this host, such as inventory or inventory:8080. Can be repeated.",
)
@click.option(
    "--api-keys",
    "keys_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Require an API key from FILE, with lines `name: secret` or `name: secret read-only`. SIGHUP reads it again.",
)
@click.option("--no-auth", is_flag=True, help="Serve other machines without API keys.")
def serve(
    storage: Storage | Api,
    *,
    host: str,
    port: int,
    keys_path: Path | None,
    no_auth: bool,
    **options: Any,
) -> None:
    """
    Serve the HTTP API and the console page until Ctrl-C, and deliver events to the webhooks of the file.

    Without --api-keys, every client that reaches the port can read and change everything.

    With --url, it serves the page of that API, and keeps the API key of --api-key.
    """
    from inventory_adapters.server import gateway as local_server  # 40 % of a start
    from inventory_adapters.server.auth import ApiKeys, KeysError
    from inventory_adapters.storage.sqlite import SqliteRepository

    if keys_path and no_auth:
        raise click.UsageError("--api-keys and --no-auth exclude each other")

    def ready(site: "Site") -> None:
        example = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "quantity": 5}
        key = "-H 'X-Api-Key: SECRET' " if keys_path else ""
        where = "of the API" if isinstance(storage, Api) else "kept in"
        click.echo(f"Inventory on {site.url}, {where} {storage}. Ctrl-C stops it.")
        click.echo(f"Try: curl {site.url}/items {key}-d '{to_json(example)}'")
        sys.stdout.flush()

    if isinstance(storage, Api) and was_typed("sweep_seconds"):
        raise click.UsageError("--sweep-seconds cannot be used with --url: the API sweeps itself.")
    if isinstance(storage, Storage) and was_typed("actor"):
        raise click.UsageError("--actor needs --url.")
    try:
        keys = ApiKeys(keys_path) if keys_path else None
        listener = local_server.listen(host, port)
    except (KeysError, local_server.CannotListenError) as error:
        raise CommandError(str(error)) from error
    with listener:
        if not local_server.is_on_loopback(listener):
            if keys is None and not no_auth:
                raise CommandError(
                    f"Other machines can reach {host}, so API keys are required."
                    " Pass --api-keys FILE, or --no-auth to let everyone in."
                )
            click.echo(
                "Keys and data cross the network unencrypted. Put a proxy with TLS in front.",
                err=True,
            )
        with storage.opened(missing="create") as inventory:
            with deadline(ANSWER_SECONDS):
                local_server.check_health(inventory)
                handle = None
                outbox: Outbox | None = None
                if isinstance(inventory, Inventory):
                    local_server.check_writable(inventory)
                    if isinstance(inventory.repository, SqliteRepository):
                        outbox = inventory.repository.outbox()
                else:
                    from inventory_adapters.server.remote import RemoteApi  # httpx is optional

                    handle = RemoteApi(inventory).handle
            logs.to_stderr()
            local_server.serve(
                inventory,
                listener,
                host,
                remote_storage=storage.is_remote,
                keys=keys,
                handle=handle,
                outbox=outbox,
                metrics=_metrics(outbox),
                on_ready=ready,
                **options,
            )
