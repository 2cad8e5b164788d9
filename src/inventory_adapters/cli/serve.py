"""`inventory serve`: the HTTP API and the console page on this machine."""

import re
import sys
from typing import TYPE_CHECKING

import click

from inventory.timeouts import deadline
from inventory_adapters.cli.errors import CommandError
from inventory_adapters.cli.operations import ANSWER_SECONDS
from inventory_adapters.cli.storage import Storage, storage_options
from inventory_adapters.wire import to_json

if TYPE_CHECKING:
    from inventory_adapters.server.gateway import Site

__all__ = ["serve"]


def _origins(
    _ctx: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    for value in values:
        # Browsers send no path and no slash at the end: with one, an origin would never match.
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


@click.command(short_help="Serve the HTTP API and the console page.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    default=8080,
    show_default=True,
    help="The port to listen on; 0 for any that is free.",
)
@storage_options(with_memory=True)
@click.option(
    "--sweep-seconds",
    type=click.IntRange(0, 86400),
    metavar="N",
    default=60,
    show_default=True,
    help="How often reservations whose time is over are expired; 0 for never.",
)
@click.option(
    "--allowed-origin",
    "allowed_origins",
    metavar="ORIGIN",
    multiple=True,
    callback=_origins,
    help="Let pages of this origin read the answers, too; * for all. May be repeated.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    metavar="HOST",
    multiple=True,
    callback=_hosts,
    help="Accept requests for this host, such as inventory or inventory:8080. May be repeated.",
)
def serve(  # noqa: PLR0913 - one parameter for each option
    storage: Storage,
    *,
    host: str,
    port: int,
    sweep_seconds: int,
    allowed_origins: tuple[str, ...],
    allowed_hosts: tuple[str, ...],
) -> None:
    """
    Serve the HTTP API and the console page until Ctrl-C.

    There is no authentication: every client that reaches the port can read and change everything.
    """
    from inventory_adapters import logs  # noqa: PLC0415 - for this command alone
    from inventory_adapters.server import gateway as local_server  # noqa: PLC0415 - as above

    def ready(site: "Site") -> None:
        example = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "quantity": 5}
        click.echo(f"Inventory on {site.url}, kept in {storage}. Ctrl-C stops it.")
        click.echo(f"Try: curl {site.url}/items -d '{to_json(example)}'")
        sys.stdout.flush()

    try:
        listener = local_server.listen(host, port)
    except local_server.CannotListenError as error:
        raise CommandError(str(error)) from error
    with listener, storage.opened(missing="create") as inventory:
        with deadline(ANSWER_SECONDS):
            local_server.check_health(inventory)
            local_server.check_writable(inventory)
        logs.to_stderr()
        local_server.serve(
            inventory,
            listener,
            host,
            allowed_origins=allowed_origins,
            allowed_hosts=allowed_hosts,
            sweep_seconds=sweep_seconds,
            remote_storage=storage.kind == "dynamodb",
            on_ready=ready,
        )
