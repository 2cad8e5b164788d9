"""The CPU of a warm request over a kept-alive socket, against one `get_item` of boto3 (R)."""

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from bench import sdk
from bench.events import Context, event
from bench.measure import Row, Scale, Spread, at_most, cpu_per_call, interleaved, ratios
from inventory import Inventory
from inventory_adapters.aws.transport import Answer, Service
from inventory_adapters.http.api_gateway import App, Cors, Handler, make_handler
from inventory_adapters.http.routes import route_named
from inventory_adapters.logs import JsonFormatter
from inventory_adapters.storage.dynamodb import DynamoDBRepository

__all__ = ["own_handlers", "rows"]

_R: Final = "R"
_OF_R: Final = "of R"
# docs/performance.md has our own share in microseconds on a machine on which R takes 640.
_R_MICROSECONDS: Final = 640
_OWN_MICROSECONDS: Final = 60


class _NoNetwork:
    """A transport that answers at once, so that only our own code is measured."""

    def __init__(self) -> None:
        self._answers = {operation: Answer(body) for operation, body in sdk.answers()}

    def send(
        self,
        service: Service,  # noqa: ARG002 - always DynamoDB
        operation: str,
        request: Mapping[str, Any],  # noqa: ARG002 - the answer is always the same
        *,
        seconds: float,  # noqa: ARG002 - as above
    ) -> Answer:
        return self._answers[operation]


def own_handlers() -> Callable[[str], Handler]:
    """Return a function that makes the handler of an operation, on a transport that answers at once."""
    repository = DynamoDBRepository(_NoNetwork(), table="items")
    inventory, cors = Inventory(repository), Cors(("*",))
    return lambda operation: make_handler(route_named(operation), lambda: App(inventory, cors))


def rows(scale: Scale) -> Iterator[Row]:
    """Measure the warm path."""
    contenders = {_R: _raw_get(), **_handlers()}
    turns = {name: cpu_per_call(call, scale.calls) for name, call in contenders.items()}
    samples = interleaved(turns, scale.rounds)
    of_r = partial(ratios, samples, theirs=_R)
    row = partial(Row, group="warm", unit=_OF_R)
    yield row(metric="GET", value=of_r("get_item"), commitment=at_most(0.45))
    yield row(metric="list of 20", value=of_r("list_items"), commitment=at_most(0.85))
    yield row(metric="POST", value=of_r("create_item"))
    adjustment = of_r("adjust_stock")
    yield row(metric="adjustment (read, transaction)", value=adjustment, commitment=at_most(0.95))
    yield Row(
        group="warm",
        metric="GET against the CRUD Lambda's",
        unit="of its CPU",
        value=ratios(samples, "get_item", "CRUD get_item"),
        commitment=at_most(0.25),
    )
    for name in ("get_item", "list_items", "create_item"):
        yield row(metric=f"CRUD Lambda, {name}", value=of_r(f"CRUD {name}"))
        yield row(metric=f"Powertools + pydantic, {name}", value=of_r(f"Powertools {name}"))
    yield from _own(samples)


def _own(samples: dict[str, list[float]]) -> Iterator[Row]:
    """Measure our own CPU, in microseconds of the machine of the commitment."""
    for operation in ("get_item", "create_item", "adjust_stock", "list_items"):
        name = f"own {operation}"
        micros = [a / b * _R_MICROSECONDS for a, b in zip(samples[name], samples[_R], strict=True)]
        # Writes also create IDs, times and conditions, and have no commitment.
        limit = at_most(_OWN_MICROSECONDS) if operation == "get_item" else None
        yield Row(
            group="warm",
            metric=f"our own CPU, transport removed: {operation}",
            unit=f"µs where R = {_R_MICROSECONDS} µs",
            value=Spread.of(micros),
            commitment=limit,
        )
    logged = ratios(samples, "own get_item, logged", "own get_item")
    yield Row(
        group="warm",
        metric="our own CPU, get_item with a JSON log line",
        unit="of the same without a log handler",
        value=logged,
    )


def _raw_get() -> Callable[[], object]:
    import boto3  # noqa: PLC0415 - after the endpoint is set

    client = boto3.client("dynamodb")
    key = {"item_id": {"S": sdk.ITEM_ID}, "sku": {"S": sdk.SKU}}
    return lambda: client.get_item(TableName="items", Key=key)


def _handlers() -> dict[str, Callable[[], object]]:
    from inventory_adapters import lambda_entry  # noqa: PLC0415 - as above

    context = Context()
    calls: dict[str, Callable[[], object]] = {}
    own = own_handlers()
    for name in ("get_item", "list_items", "create_item", "adjust_stock"):
        calls[name] = _checked(getattr(lambda_entry, name), event(name), context)
        calls[f"own {name}"] = _checked(own(name), event(name), context)
    # After ours, because Powertools changes the headers of every client that is created later.
    from bench.baselines import crud_lambda, powertools_lambda  # noqa: PLC0415

    for name in ("get_item", "list_items", "create_item"):
        calls[f"CRUD {name}"] = _checked(getattr(crud_lambda, name), event(name), context)
        calls[f"Powertools {name}"] = _checked(powertools_lambda.handler, event(name), context)
    calls["own get_item, logged"] = partial(_logged, calls["own get_item"])
    return calls


def _checked(handler: Handler, request: dict[str, Any], context: Context) -> Callable[[], object]:
    """Check that the call succeeds and return it, because an error takes less time than an answer."""
    result = handler(request, context)
    if result["statusCode"] not in (200, 201):
        raise RuntimeError(f"{handler}: {result}")
    return lambda: handler(request, context)


class _Discard(logging.Handler):
    """Formats every record as a JSON line, and discards it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


_DISCARD: Final = _Discard()
_DISCARD.setFormatter(JsonFormatter())


def _logged(call: Callable[[], object]) -> None:
    logger = logging.getLogger("inventory_adapters")
    logger.addHandler(_DISCARD)
    try:
        call()
    finally:
        logger.removeHandler(_DISCARD)
