"""Errors of the command line: exit codes, and how an error is printed."""

from collections.abc import Iterable
from typing import Final

import click

from inventory.errors import BatchRefusedError, InventoryError, StorageError, ValidationError
from inventory_adapters.cli.options import typed_as
from inventory_adapters.cli.output import printable
from inventory_adapters.http.errors import error_body
from inventory_adapters.wire import to_json

__all__ = [
    "INTERRUPTED",
    "READER_LEFT",
    "REFUSED",
    "STORAGE_AWAY",
    "USAGE",
    "CommandError",
    "exit_code",
    "show_error",
]

REFUSED: Final = 1
USAGE: Final = 2
STORAGE_AWAY: Final = 3
INTERRUPTED: Final = 130
READER_LEFT: Final = 141
"""What a shell reports for a program that SIGPIPE ended."""


class CommandError(click.ClickException):
    """The command cannot do what was asked; the message is one sentence."""

    exit_code = USAGE


def exit_code(error: InventoryError) -> int:
    """Return the exit code that *error* stands for."""
    return STORAGE_AWAY if isinstance(error, StorageError) else REFUSED


def show_error(error: InventoryError, *, as_json: bool) -> None:
    """Print *error*: as JSON on stdout, or for people on stderr."""
    if as_json:
        # On this machine, a file or a table may be named.
        click.echo(to_json(error_body(error) | {"error": error.message}))
    elif isinstance(error, ValidationError):
        told = [f"{typed_as(fault.field)} {fault.message}" for fault in error.errors]
        # Once, also where both sides of a transfer have the same fault.
        _show_lines("the request is not valid:", dict.fromkeys(told))
    elif isinstance(error, BatchRefusedError):
        told = [f"row {index}: {refused.message}" for index, refused in error.refused.items()]
        _show_lines(error.message, told)
    else:
        about = [f"{name} {value}" for name, value in error.facts.items() if value is not None]
        _show_lines(error.message, [", ".join(about)] if about else [])


def _show_lines(heading: str, lines: Iterable[str]) -> None:
    click.echo(f"Error: {heading}", err=True)
    for line in lines:
        click.echo(f"  {printable(line)}", err=True)
