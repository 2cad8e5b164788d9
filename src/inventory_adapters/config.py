"""Configuration from environment variables."""

import logging
from collections.abc import Mapping
from typing import Final, Literal, Self, cast, get_args

from attrs import frozen

__all__ = ["Config", "ConfigError", "IndexProjection", "TransportName"]

IndexProjection = Literal["all", "keys"]
"""What the indexes by category and status contain: whole items, or only keys."""

TransportName = Literal["http", "boto3"]

_LEVELS: Final = logging.getLevelNamesMapping()


class ConfigError(Exception):
    """A setting is missing or invalid; the message names it."""


@frozen(kw_only=True)
class Config:
    """
    The settings of a Lambda function.

    Attributes:
        table: The items table.
        ledger_table: The table of movements, reservations and idempotency records.
        limits_parameter: The name of the SSM parameter with the page limits; None for the defaults.
        allowed_origins: Origins whose pages may read responses; defaults to all, an empty value allows none.
        actor_claim: The claim of a Cognito user that becomes the actor.
        transport: How AWS is called: ``http`` without an SDK, or ``boto3`` with the SDK of the Lambda runtime.
        index_projection: What the indexes by category and status contain: ``all`` for whole items, or ``keys``.
        log_level: The level of this package's loggers.
    """

    table: str
    ledger_table: str
    limits_parameter: str | None = None
    allowed_origins: tuple[str, ...] = ("*",)
    actor_claim: str = "sub"
    transport: TransportName = "http"
    index_projection: IndexProjection = "all"
    log_level: int = logging.INFO

    @staticmethod
    def names() -> tuple[str, ...]:
        """Return the environment variables that `from_environ` reads."""
        return (
            "TABLE_NAME",
            "LEDGER_TABLE_NAME",
            "CONFIG_PARAMETER",
            "ALLOWED_ORIGINS",
            "ACTOR_CLAIM",
            "TRANSPORT",
            "INDEX_PROJECTION",
            "LOG_LEVEL",
        )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """
        Return the settings in *environ*, with defaults for missing ones.

        Raises:
            ConfigError: ``TABLE_NAME`` is not set, or ``TRANSPORT`` or ``INDEX_PROJECTION`` is invalid.
        """
        table = environ.get("TABLE_NAME", "").strip()
        if not table:
            raise ConfigError("TABLE_NAME is not set. Set it to the name of the items table.")
        transport = environ.get("TRANSPORT", "").strip() or "http"
        if transport not in get_args(TransportName):
            raise ConfigError(f"TRANSPORT must be http or boto3: {transport}")
        projection = environ.get("INDEX_PROJECTION", "").strip() or "all"
        if projection not in get_args(IndexProjection):
            raise ConfigError(f"INDEX_PROJECTION must be all or keys: {projection}")
        origins = environ.get("ALLOWED_ORIGINS", "*").split(",")
        return cls(
            table=table,
            ledger_table=environ.get("LEDGER_TABLE_NAME", "").strip() or f"{table}-ledger",
            limits_parameter=environ.get("CONFIG_PARAMETER", "").strip() or None,
            allowed_origins=tuple(origin.strip() for origin in origins if origin.strip()),
            actor_claim=environ.get("ACTOR_CLAIM", "").strip() or "sub",
            transport=cast("TransportName", transport),
            index_projection=cast("IndexProjection", projection),
            log_level=_LEVELS.get(environ.get("LOG_LEVEL", "").strip().upper(), logging.INFO),
        )
