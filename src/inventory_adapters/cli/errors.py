"""Errors of the command line: exit codes and messages."""

from collections.abc import Iterable
from typing import Final

import click

from inventory.errors import BatchRefusedError, InventoryError, StorageError, ValidationError
from inventory_adapters.cli.options import typed_as
from inventory_adapters.cli.output import printable
from inventory_adapters.http.errors import error_body
from inventory_adapters.wire import to_json

__all__ = [
    "BROKEN_PIPE",
    "INTERRUPTED",
    "REJECTED",
    "STORAGE_UNAVAILABLE",
    "USAGE",
    "CommandError",
    "exit_code",
    "show_error",
]

REJECTED: Final = 1
USAGE: Final = 2
STORAGE_UNAVAILABLE: Final = 3
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
"""The exit code of a program that SIGPIPE ended, as shells report it."""


class CommandError(click.ClickException):
    """The command cannot run with these options; the message is one sentence."""

    exit_code = USAGE


def exit_code(error: InventoryError) -> int:
    """Return the exit code for *error*."""
    return STORAGE_UNAVAILABLE if isinstance(error, StorageError) else REJECTED


def show_error(error: InventoryError, *, as_json: bool) -> None:
    """Print *error*: as JSON on stdout, or for people on stderr."""
    if as_json:
        # Unlike over HTTP, the message may name a file or a table of this machine.
        click.echo(to_json(error_body(error) | {"error": error.message}))
    elif isinstance(error, ValidationError):
        lines = [f"{typed_as(fault.field)} {fault.message}" for fault in error.errors]
        # Without duplicates, because both sides of a transfer may have the same error.
        _show_lines("Invalid request:", dict.fromkeys(lines))
    elif isinstance(error, BatchRefusedError):
        lines = [f"row {index}: {rejected.message}" for index, rejected in error.refused.items()]
        _show_lines(error.message, lines)
    else:
        facts = [f"{name} {value}" for name, value in error.facts.items() if value is not None]
        _show_lines(error.message, [", ".join(facts)] if facts else [])


def _show_lines(heading: str, lines: Iterable[str]) -> None:
    click.echo(f"Error: {heading}", err=True)
    for line in lines:
        click.echo(f"  {printable(line)}", err=True)
