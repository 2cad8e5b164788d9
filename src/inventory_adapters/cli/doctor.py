"""`inventory doctor`: find out what is wrong with a storage or an API."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import click
from attrs import frozen

from inventory.commands import GetItem, ListItems, ListMovements
from inventory.errors import InventoryError, ItemNotFoundError
from inventory.items import Item, Timestamp
from inventory.paging import Page, PageRequest, iter_pages
from inventory.ports import ReservationFilter, RestorableRepository
from inventory.reconcile import examine
from inventory.service import Inventory
from inventory.stock import Movement
from inventory.upkeep import far_reservations
from inventory_adapters.cli.errors import REJECTED
from inventory_adapters.cli.operations import LARGEST_PAGE
from inventory_adapters.cli.options import JSON
from inventory_adapters.cli.output import counted, printable
from inventory_adapters.cli.storage import Api, Storage, ledger_of, storage_options, was_typed
from inventory_adapters.cli.tables import check_table, described
from inventory_adapters.wire import from_json, to_json

if TYPE_CHECKING:
    from inventory_adapters.cli.storage import UseCases
    from inventory_adapters.storage.sqlite import SqliteRepository

__all__ = ["doctor"]

# Answers take a moment, and times of HTTP are whole seconds.
_CLOCK_SECONDS: Final = 60
# A sweeper runs each minute.
_OVERDUE_SECONDS: Final = 300


class _ProblemError(Exception):
    """What is wrong, and what to do, in one or two sentences."""


@frozen
class _Result:
    """The result of a check; *text* is the problem, or what was found to be right."""

    check: str
    is_ok: bool
    text: str


@click.command(short_help="Find out what is wrong.")
@click.option(
    "--parameter",
    metavar="NAME",
    help="With --dynamodb: the SSM parameter with the page limits, such as /inventory/prod/config.",
)
@storage_options()
@JSON
def doctor(storage: Storage | Api, *, parameter: str | None, as_json: bool) -> None:
    """
    Check that a storage or an API can be used, and that its contents are consistent.

    Prints one line for each check, and exits with 1 if one of them finds a problem. Nothing is changed. The ledgers of some
    items are checked; `inventory reconcile` checks all.
    """
    is_dynamodb = isinstance(storage, Storage) and storage.kind == "dynamodb"
    if was_typed("parameter") and not is_dynamodb:
        raise click.UsageError("--parameter needs --dynamodb.")
    results = []
    for result in _results(storage, parameter):
        results.append(result)
        if not as_json:
            verdict = "ok" if result.is_ok else "PROBLEM"
            click.echo(f"{verdict:7}  {result.check:12}  {printable(result.text)}")
    problems = sum(not result.is_ok for result in results)
    if as_json:
        document = {
            "checks": [
                {"check": it.check, "result": "ok" if it.is_ok else "problem", "text": it.text}
                for it in results
            ],
            "problems": problems,
        }
        click.echo(to_json(document))
    else:
        click.echo(f"{counted(problems, 'problems')} found.", err=True)
    click.get_current_context().exit(REJECTED if problems else 0)


def _results(storage: Storage | Api, parameter: str | None) -> Iterator[_Result]:
    if isinstance(storage, Storage) and storage.kind == "dynamodb":
        yield from _results_of_tables(storage, parameter)
    with ExitStack() as stack:
        inventory: UseCases | None = None

        def reach() -> str:
            from inventory_adapters.server.gateway import check_health  # a fifth of a start

            nonlocal inventory
            opened = stack.enter_context(cast("AbstractContextManager[UseCases]", storage.opened()))
            check_health(opened)
            inventory = opened
            return f"{storage} answers"

        yield _result("storage", reach)
        if inventory is None:
            return
        if isinstance(storage, Api):
            yield _result("clock", partial(_clock_of_api, storage.url))
        elif isinstance(inventory, Inventory):
            yield from _results_of_storage(storage, inventory)
        yield _result("ledger", partial(_ledgers, inventory))


def _result(check: str, look: Callable[[], str]) -> _Result:
    try:
        return _Result(check, is_ok=True, text=look())
    except _ProblemError as problem:
        return _Result(check, is_ok=False, text=str(problem))
    except InventoryError as error:
        return _Result(check, is_ok=False, text=error.message)


# A file


def _results_of_storage(storage: Storage, inventory: Inventory) -> Iterator[_Result]:
    from inventory_adapters.server.gateway import check_writable

    def write() -> str:
        check_writable(inventory)
        return "can be written"

    if storage.kind == "sqlite":
        yield _result("writable", write)
        yield _result("integrity", partial(_integrity, storage.db))
        yield _result("schema", partial(_schema_of_file, storage.db))
        yield _result(
            "webhooks", partial(_webhooks, cast("SqliteRepository", inventory.repository))
        )
    yield _result("restore", partial(_restore, inventory))
    yield _result("times", partial(_times, inventory))
    yield _result("sweeper", partial(_overdue, inventory))


def _integrity(file: str) -> str:
    with closing(sqlite3.connect(file)) as db:
        [[first], *more] = db.execute("PRAGMA quick_check").fetchall()
    if first != "ok":
        raise _ProblemError(
            f"The file is damaged ({first}; {counted(len(more) + 1, 'findings')}). Restore a backup."
        )
    return "no damage found"


def _schema_of_file(file: str) -> str:
    from inventory_adapters.storage.sqlite import schema  # as `bootstrap`, only with a file

    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    with closing(sqlite3.connect(file)) as db, closing(sqlite3.connect(":memory:")) as new:
        for statement in (it for migration in schema.MIGRATIONS for it in migration):
            new.execute(statement)
        actual, expected = (dict(each.execute(query).fetchall()) for each in (db, new))
    missing = [name for name, sql in expected.items() if actual.get(name) != sql]
    if missing:
        raise _ProblemError(
            f"{', '.join(missing)} missing or changed. Copy the data to a new file: inventory copy"
        )
    return f"version {len(schema.MIGRATIONS)}"


def _webhooks(repository: "SqliteRepository") -> str:
    outbox = repository.outbox()
    sinks = outbox.sinks()
    overdue = Timestamp.of(datetime.now(UTC)).plus(-_OVERDUE_SECONDS)
    for sink in sinks:
        pending, parked = outbox.counts(sink)
        if parked:
            raise _ProblemError(
                f"{sink.name} did not take {counted(parked, 'events')}. Once it can, run:"
                f" inventory webhooks resend {sink.name}"
            )
        first = next(
            (from_json(it.event).get("time", overdue) for it in outbox.pending(sink)), overdue
        )
        if first < overdue:
            since = f" It fails since {sink.failing_since}." if sink.failing_since else ""
            raise _ProblemError(
                f"{counted(pending, 'events')} of {sink.name} wait since {first}.{since}"
                " `inventory serve` delivers them."
            )
    return f"{counted(len(sinks), 'webhooks')}, nothing is late"


# DynamoDB


def _results_of_tables(storage: Storage, parameter: str | None) -> Iterator[_Result]:
    import boto3  # boto3 is optional; the command has tried to import it
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    from inventory_adapters.storage.dynamodb import schema

    config = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard"})

    def called(look: Callable[[], str]) -> str:
        try:
            return look()
        except (BotoCoreError, ClientError) as error:
            raise _ProblemError(f"{error}") from error

    client = boto3.client("dynamodb", config=config)
    ledger = ledger_of(storage.table)
    kinds = (
        (schema.items_schema(storage.index_projection), storage.table),
        (schema.LEDGER, ledger),
    )
    for kind, name in kinds:
        expected = schema.create_table_arguments(kind, name)
        yield _result("table", partial(called, partial(_table, client, expected)))
    yield _result("expiry", partial(called, partial(_time_to_live, client, ledger)))
    yield _result("clock", partial(called, partial(_clock_of_tables, client, ledger)))
    if parameter is not None:
        ssm = boto3.client("ssm", config=config)
        yield _result("parameter", partial(called, partial(_parameter, ssm, parameter)))


def _table(client: Any, expected: dict[str, Any]) -> str:
    table = described(client, expected["TableName"])
    check_table(table, expected)
    states = {table["TableStatus"]}
    states |= {index["IndexStatus"] for index in table.get("GlobalSecondaryIndexes", [])}
    if states != {"ACTIVE"}:
        raise _ProblemError(f"{expected['TableName']} is being changed: {', '.join(states)}")
    stream = "with" if table.get("StreamSpecification", {}).get("StreamEnabled") else "without"
    return f"{expected['TableName']} has its keys and indexes, {stream} a stream"


def _time_to_live(client: Any, ledger: str) -> str:
    status = client.describe_time_to_live(TableName=ledger)["TimeToLiveDescription"]
    if status.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
        raise _ProblemError(
            f"The time to live of {ledger} is off, so old records stay. Enable it for delete_after."
        )
    return f"the time to live of {ledger} is on"


def _clock_of_tables(client: Any, table: str) -> str:
    answer = client.describe_table(TableName=table)["ResponseMetadata"]["HTTPHeaders"]
    return _clock(answer.get("date"))


def _parameter(client: Any, name: str) -> str:
    from inventory_adapters.aws.ssm import parse_limits

    value = client.get_parameter(Name=name)["Parameter"]["Value"]
    try:
        limits = parse_limits(value)
    except (TypeError, ValueError, InventoryError) as error:
        raise _ProblemError(f"{name} is not usable, so the defaults apply: {error}") from error
    return f"{name}: pages of {limits.default_page_size}, at most {limits.max_items_per_page}"


# An API


def _clock_of_api(url: str) -> str:
    import httpx  # the client has imported it

    return _clock(httpx.get(url, timeout=10).headers.get("date"))


def _clock(date: str | None) -> str:
    if date is None:
        return "the other side does not say its time"
    ahead = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    if abs(ahead) > _CLOCK_SECONDS:
        side = "ahead of" if ahead > 0 else "behind"
        raise _ProblemError(
            f"The clock of this machine is {abs(ahead):.0f} s {side} that of the other side. Set it."
        )
    return "agrees with this machine's"


# Contents


def _restore(inventory: Inventory) -> str:
    repository = inventory.repository
    if isinstance(repository, RestorableRepository) and repository.restore_id() is not None:
        raise _ProblemError(
            "A copy or a restore has not ended. Run the same command again; until then nothing expires."
        )
    return "none is under way"


def _times(inventory: Inventory) -> str:
    now = Timestamp.of(datetime.now(UTC))
    far = next(far_reservations(inventory.repository, now), None)
    if far is not None:
        raise _ProblemError(
            f"Reservation {far.reservation_id} ends too late, at {far.expires_at}, because a clock was ahead."
            " Check the clock, then run: inventory sweep --far"
        )
    return "no reservation ends too late"


def _overdue(inventory: Inventory) -> str:
    now = Timestamp.of(datetime.now(UTC))
    due = ReservationFilter(due_by=now.plus(-_OVERDUE_SECONDS))
    overdue = inventory.repository.list_reservations(due, PageRequest(size=1)).items
    if overdue:
        raise _ProblemError(
            f"A reservation is held since it ended, at {overdue[0].expires_at}: nothing sweeps."
            " Run `inventory serve`, or `inventory sweep` at intervals."
        )
    return "no reservation is overdue"


def _ledgers(inventory: "UseCases") -> str:
    """Compare the items of the first page with their ledgers."""
    items = inventory.list_items(ListItems()).items
    latest = Timestamp.of(datetime.now(UTC)).plus(_CLOCK_SECONDS)
    for item in items:
        if item.moved_at is not None and item.moved_at > latest:
            raise _ProblemError(
                f"Item {item.item_id} {item.sku} was last moved in the future, at {item.moved_at}. Check the clock."
            )
        # An item that changes meanwhile is compared again.
        if not any(_agrees(inventory, item) for _ in range(3)):
            raise _ProblemError(
                f"The stock of item {item.item_id} {item.sku} disagrees with its ledger."
                " Check all items: inventory reconcile"
            )
    return f"{counted(len(items), 'items')} checked"


def _agrees(inventory: "UseCases", listed: Item) -> bool:
    try:
        item = inventory.get_item(GetItem(item_id=listed.item_id, sku=listed.sku))
        movements = [it for it in _movements(inventory, item) if it.seq > 0]
    except ItemNotFoundError:
        return True
    return examine(item, movements, held=item.level.reserved) is None


def _movements(inventory: "UseCases", item: Item) -> Iterator[Movement]:
    def read(page: PageRequest) -> Page[Movement]:
        key = {"item_id": item.item_id, "sku": item.sku}
        return inventory.list_movements(
            ListMovements(**key, page_size=LARGEST_PAGE, page_token=page.cursor)
        )

    return (movement for page in iter_pages(read) for movement in page.items)
