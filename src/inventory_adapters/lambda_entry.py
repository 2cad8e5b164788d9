"""
Lambda handlers, one per operation, composed on first use.

A Lambda function names its handler as ``inventory_adapters.lambda_entry.create_item``.
"""

import logging
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from inventory.commands import ExpireReservations
from inventory.errors import StorageUnavailableError
from inventory.items import Timestamp
from inventory.timeouts import deadline
from inventory_adapters import bootstrap
from inventory_adapters.aws.usage import Usage
from inventory_adapters.config import Config, ConfigError
from inventory_adapters.http.api_gateway import App, Cors, Handler, make_handler, seconds_left
from inventory_adapters.http.routes import route_named

if TYPE_CHECKING:
    from inventory_adapters.events.eventbridge import Publisher
    from inventory_adapters.far_reservations import FarReservationsWatch

__all__ = [
    "adjust_stock",
    "batch_items",
    "commit_reservation",
    "count_stock",
    "create_item",
    "create_reservation",
    "delete_item",
    "expire_reservations",
    "extend_reservation",
    "get_item",
    "get_reservation",
    "get_stock",
    "list_items",
    "list_movements",
    "list_reservations",
    "publish_events",
    "release_reservation",
    "transfer_stock",
    "update_item",
]

_SETTINGS: Final = Config.names()

# More than a run expires: it ends by itself shortly before the time of the function is up.
_MAX_EXPIRED: Final = 100_000
# As docs/scale.md has it: DynamoDB answers each write after about 17 ms.
_THREADS: Final = 8

logger = logging.getLogger("inventory_adapters.server.sweeper")


@lru_cache(maxsize=8)
def _container(settings: tuple[str | None, ...]) -> App:
    pairs = zip(_SETTINGS, settings, strict=True)
    environ = {name: value for name, value in pairs if value is not None}
    try:
        config = Config.from_environ(environ)
        # Only our own loggers: at DEBUG, the root logger makes boto3 log every header.
        logging.getLogger("inventory_adapters").setLevel(config.log_level)
        return App(bootstrap.deployed(config), Cors(config.allowed_origins), config.actor_claim)
    except ConfigError as error:
        # The answer is a 503; the sentence, which names the setting, is logged and not sent.
        raise StorageUnavailableError(str(error)) from error


def _current_app() -> App:
    return _container(tuple(map(os.environ.get, _SETTINGS)))


def _entry(operation: str) -> Handler:
    return make_handler(route_named(operation), _current_app)


create_item = _entry("create_item")
get_item = _entry("get_item")
update_item = _entry("update_item")
delete_item = _entry("delete_item")
list_items = _entry("list_items")
batch_items = _entry("batch_items")
adjust_stock = _entry("adjust_stock")
count_stock = _entry("count_stock")
list_movements = _entry("list_movements")
get_stock = _entry("get_stock")
list_reservations = _entry("list_reservations")
transfer_stock = _entry("transfer_stock")
create_reservation = _entry("create_reservation")
get_reservation = _entry("get_reservation")
commit_reservation = _entry("commit_reservation")
release_reservation = _entry("release_reservation")
extend_reservation = _entry("extend_reservation")


@lru_cache(maxsize=1)
def _publisher() -> "Publisher":
    from inventory_adapters.events.eventbridge import Publisher  # noqa: PLC0415 - no request needs it

    return Publisher(
        bootstrap.transport(Config.from_environ(os.environ).transport),
        bus=os.environ["EVENT_BUS"],
        dead_letters=os.environ["DEAD_LETTERS"],
    )


def publish_events(event: Any, context: Any = None) -> dict[str, list[dict[str, str]]]:
    """
    Publish the events of records of a table's stream; called by Lambda for up to 100 of them.

    Returns:
        ``{"batchItemFailures": [{"itemIdentifier": "..."}]}``: the records that Lambda sends again, with those that follow.
    """
    with deadline(seconds_left(context)):
        failed = _publisher().publish(event["Records"])
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


class SweepError(Exception):
    """Some due reservations could not be expired; the next sweep tries again."""


@lru_cache(maxsize=1)
def _far_reservations_watch() -> "FarReservationsWatch":
    from inventory_adapters.far_reservations import (  # noqa: PLC0415 - no request needs it
        FarReservationsWatch,
    )

    return FarReservationsWatch()


def expire_reservations(_event: Any = None, context: Any = None) -> dict[str, int]:
    """
    Expire due reservations, and check some low-stock markers; called by a schedule.

    Returns:
        ``{"expired": 3, "failed": 0}``.

    Raises:
        SweepError: Some could not be expired. Lambda counts the error, and an alarm watches that count.
        StorageUnavailableError: A setting is missing or wrong, or DynamoDB did not answer.
    """
    inventory = _current_app().inventory
    with deadline(seconds_left(context)), Usage() as usage:
        command = ExpireReservations(limit=_MAX_EXPIRED)
        swept = inventory.expire_reservations(command, threads=_THREADS)
        counts = {"expired": swept.expired, "failed": swept.failed}
        # An alarm watches how long the oldest has been due.
        overdue = {"oldest_due_seconds": swept.oldest_due_seconds}
        logger.info("swept", extra={**counts, **overdue, **usage.fields})
        if not swept.is_paused:
            inventory.repository.purge(Timestamp.of(inventory.clock()))
        _far_reservations_watch().look(inventory)
    if swept.failed:
        raise SweepError(f"Reservations that could not be expired: {swept.failed}")
    return counts
