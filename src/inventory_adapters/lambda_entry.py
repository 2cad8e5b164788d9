"""
One handler per operation, wired on first use. The only module that reads the environment.

A Lambda function names its handler as ``inventory_adapters.lambda_entry.create_item``.
"""

import logging
import os
from functools import lru_cache
from typing import Final

from inventory.service import Inventory
from inventory_adapters import bootstrap
from inventory_adapters.config import Config
from inventory_adapters.http.api_gateway import Cors, Handler, make_handler
from inventory_adapters.http.routes import route_named

__all__ = ["create_item", "delete_item", "get_item", "list_items", "update_item"]

_SETTINGS: Final = Config.names()


@lru_cache(maxsize=8)
def _wired(settings: tuple[str | None, ...]) -> tuple[Inventory, Cors]:
    said = {
        name: value for name, value in zip(_SETTINGS, settings, strict=True) if value is not None
    }
    config = Config.from_environ(said)
    # Ours alone: at DEBUG, the root logger would have the SDK log every header.
    logging.getLogger("inventory_adapters").setLevel(config.log_level)
    return bootstrap.deployed(config), Cors(config.allowed_origins)


def _present() -> tuple[Inventory, Cors]:
    return _wired(tuple(map(os.environ.get, _SETTINGS)))


def _entry(operation: str) -> Handler:
    return make_handler(route_named(operation), _present)


create_item = _entry("create_item")
get_item = _entry("get_item")
update_item = _entry("update_item")
delete_item = _entry("delete_item")
list_items = _entry("list_items")
