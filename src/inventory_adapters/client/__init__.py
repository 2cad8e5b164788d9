"""
InventoryClient: the use cases of `Inventory`, asked of a server over HTTP.

Needs the extra `client`: ``tap-inventory[client]``.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Final, Self, TypeVar, cast

from attrs import frozen

try:
    import httpx
except ModuleNotFoundError as error:
    raise ImportError(
        "InventoryClient needs one more package: install the extra tap-inventory[client]"
    ) from error

from inventory import batch
from inventory.backoff import full_jitter
from inventory.batch import RowResult
from inventory.commands import (
    ALL_OR_NOTHING,
    AdjustStock,
    BatchItems,
    CommitReservation,
    CountStock,
    CreateItem,
    CreateReservation,
    DeleteItem,
    ExtendReservation,
    GetItem,
    GetReservation,
    ListItems,
    ListMovements,
    ReleaseReservation,
    TransferStock,
    UpdateItem,
)
from inventory.errors import (
    InventoryError,
    StorageThrottledError,
    StorageUnavailableError,
    ValidationError,
)
from inventory.idempotency import IdempotencyKey
from inventory.items import Item, ItemKey
from inventory.paging import Page
from inventory.reservations import Reservation
from inventory.service import Inventory
from inventory.stock import Movement, StockChange, Transfer
from inventory.timeouts import time_left
from inventory.validation import set_fields
from inventory_adapters.client.wire import PreparedRequest, UnexpectedAnswerError, WireResponse

__all__ = ["InventoryClient", "UnexpectedAnswerError"]

C = TypeVar("C")
R = TypeVar("R")

logger = logging.getLogger("inventory_adapters.client")

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0
# Who is told to come back later than this should do something else meanwhile.
_LONGEST_RETRY_AFTER_SECONDS: Final = 30.0

# Raised before the first byte of a request is on its way.
_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class InventoryClient:
    """
    `inventory.Inventory` at the other end of a connection: the same methods, values and errors.

    What is sent is held to the same bounds, by the same commands; what the server refuses is raised as the same error, with
    its message and facts; what is not an inventory's answer, as `UnexpectedAnswerError`. Safe to share between threads.

    Two things do not travel:

    - `level.seq`, in lists, transfers and deletions, from a server that does not send it with the item: it is
      `inventory_adapters.wire.UNKNOWN_SEQ` then. Read the item by itself before an `if_match` that is about its stock.
    - `expire_reservations` and `reconcile`: upkeep, which a server does by itself, or its operator beside it.

    **Repeats.** What may pass (no connection, no answer in time, 429, 502, 503, 504) is waited out, with full jitter and as
    `Retry-After` says, up to *retries* times and within `inventory.timeouts`, where a repeat can do no harm:

    - Reading, always.
    - POST and DELETE, always: they are sent under an idempotency key, the command's or one made for the call. `replayed` is
      also set where an attempt of this very call was served before, and its answer lost.
    - PUT with an idempotency key, always; one is never made for it.
    - PUT with one tag in its `if_match`, always: what an attempt has changed no longer has that tag.
    - Any other PUT only where nothing was done (no connection, 429): it might undo what somebody else did in between.

    If an earlier attempt may have succeeded, a 412 to a PUT without a key is ambiguous: it is raised as
    `StorageUnavailableError`, which leaves open what was kept.

    Args:
        base_url: Where the API is: ``http://localhost:8080``, ``https://api.example.com/prod``.
        api_key: PreparedRequest as ``X-Api-Key``.
        headers: PreparedRequest with each request: ``{"Authorization": ...}``.
        timeout: Seconds that connecting, sending, and waiting for the next part of an answer may take, each.
        retries: How often a request is repeated at most.
        http_client: Makes the connections: with its proxies, certificates and authentication. Closed by whoever made it.
        pause: Sleeps a number of seconds between two attempts.

    Raises:
        ValueError: *base_url* is not the address of an HTTP server.
    """

    def __init__(  # noqa: PLR0913 - a connection has that many settings
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        retries: int = 3,
        http_client: httpx.Client | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        address = httpx.URL(base_url)
        if address.scheme not in ("http", "https") or not address.host or address.query:
            raise ValueError(f"not the address of an HTTP server: {base_url}")
        self._base_url = base_url.rstrip("/")
        self._headers = dict(headers or {})
        if api_key is not None:
            self._headers["X-Api-Key"] = api_key
        self._timeout = timeout
        self._retries = retries
        self._pause = pause
        self._is_ours = http_client is None
        self._http = httpx.Client() if http_client is None else http_client

    def close(self) -> None:
        """Close the connections, unless they are those of a client that was passed in."""
        if self._is_ours:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    # Items

    def create_item(self, command: CreateItem) -> Item:
        """As `Inventory.create_item`."""
        return self._call(Inventory.create_item, command)

    def get_item(self, query: GetItem) -> Item:
        """As `Inventory.get_item`."""
        return self._call(Inventory.get_item, query)

    def update_item(self, command: UpdateItem) -> Item:
        """As `Inventory.update_item`."""
        return self._call(Inventory.update_item, command)

    def delete_item(self, command: DeleteItem) -> Item:
        """As `Inventory.delete_item`."""
        return self._call(Inventory.delete_item, command)

    def list_items(self, query: ListItems) -> Page[Item]:
        """As `Inventory.list_items`."""
        return self._call(Inventory.list_items, query)

    def iter_items(self, query: ListItems) -> Iterator[Item]:
        """
        Yield every item that passes the filters of *query*, from its page on, each once.

        An item that is edited during the walk may stand on two pages: it is yielded as it was on the first. The keys of all
        items that were yielded are kept for that.
        """
        seen: set[ItemKey] = set()
        filters = set_fields(query, exclude=("page_token",))
        token = query.page_token
        while True:
            page = self.list_items(ListItems(**filters, page_token=token))
            for item in page.items:
                if item.key not in seen:
                    seen.add(item.key)
                    yield item
            token = page.next_cursor
            if token is None:
                return

    def batch_items(self, command: BatchItems) -> "tuple[RowResult, ...]":
        """As `Inventory.batch_items`."""
        batch.check_unique(command.items)
        if command.mode == ALL_OR_NOTHING:
            batch.check_valid(command.items)
        results = self._call(Inventory.batch_items, command)
        # The server was sent a blank where a row is no command, and does not know why.
        invalid = {
            index: RowResult.rejected(index, row, row)
            for index, row in enumerate(command.items)
            if isinstance(row, ValidationError)
        }
        return tuple(invalid.get(result.index, result) for result in results)

    # Stock

    def adjust_stock(self, command: AdjustStock) -> StockChange:
        """As `Inventory.adjust_stock`."""
        return self._call(Inventory.adjust_stock, command)

    def count_stock(self, command: CountStock) -> StockChange:
        """As `Inventory.count_stock`."""
        return self._call(Inventory.count_stock, command)

    def transfer_stock(self, command: TransferStock) -> Transfer:
        """As `Inventory.transfer_stock`."""
        return self._call(Inventory.transfer_stock, command)

    def list_movements(self, query: ListMovements) -> Page[Movement]:
        """As `Inventory.list_movements`."""
        return self._call(Inventory.list_movements, query)

    # Reservations

    def create_reservation(self, command: CreateReservation) -> Reservation:
        """As `Inventory.create_reservation`."""
        return self._call(Inventory.create_reservation, command)

    def get_reservation(self, query: GetReservation) -> Reservation:
        """As `Inventory.get_reservation`."""
        return self._call(Inventory.get_reservation, query)

    def commit_reservation(self, command: CommitReservation) -> Reservation:
        """As `Inventory.commit_reservation`."""
        return self._call(Inventory.commit_reservation, command)

    def release_reservation(self, command: ReleaseReservation) -> Reservation:
        """As `Inventory.release_reservation`."""
        return self._call(Inventory.release_reservation, command)

    def extend_reservation(self, command: ExtendReservation) -> Reservation:
        """As `Inventory.extend_reservation`."""
        return self._call(Inventory.extend_reservation, command)

    # How a use case is asked for

    def _call(self, use_case: Callable[[Inventory, C], R], command: C) -> R:
        """Return what *use_case* returns at the server, or raise what it raises there."""
        reply = self._exchange(PreparedRequest.of(use_case, command))
        key: IdempotencyKey | None = getattr(command, "idempotency_key", None)
        if key is not None and reply.is_replay:
            key.replayed = True
        return cast("R", reply.value(use_case))

    def _exchange(self, sent: PreparedRequest) -> WireResponse:
        """Send a request, again where that may help and does no harm, and return the answer if it is a success."""
        outcome_unknown = False
        attempt = 0
        while True:
            outcome = self._attempt(sent)
            if isinstance(outcome, WireResponse):
                return outcome
            pause = outcome.retry_after + _jitter(attempt)
            if (
                not outcome.retryable
                or not (outcome.not_sent or sent.is_repeatable)
                or attempt >= self._retries
                or pause >= time_left()
            ):
                if outcome_unknown and sent.is_ambiguous(outcome.error):
                    raise StorageUnavailableError(
                        "The answer to an attempt was lost; what was sent may or may not have been kept"
                    ) from outcome.error
                raise outcome.error
            outcome_unknown = outcome_unknown or not outcome.not_sent
            attempt += 1
            logger.info(
                "request repeated",
                extra={
                    "route": sent.route.name,
                    "code": outcome.error.code,
                    "pause_seconds": round(pause, 3),
                },
            )
            self._pause(pause)

    def _attempt(self, sent: PreparedRequest) -> "WireResponse | _Failure":
        try:
            reply = self._send(sent)
        except httpx.RequestError as failure:
            unanswered = StorageUnavailableError(
                f"The server did not answer: {str(failure) or type(failure).__name__}"
            )
            unanswered.__cause__ = failure
            return _Failure(unanswered, not_sent=isinstance(failure, _NOT_SENT))
        if reply.is_success:
            return reply
        error = reply.error()
        throttled = isinstance(error, StorageThrottledError)
        return _Failure(error, not_sent=throttled, retry_after=reply.retry_after)

    def _send(self, sent: PreparedRequest) -> WireResponse:
        seconds = min(self._timeout, time_left())
        if seconds <= 0:
            raise httpx.ConnectTimeout("no time is left for this request")
        response = self._http.request(
            sent.route.method,
            self._base_url + sent.path,
            headers={**self._headers, **sent.headers},
            content=sent.body,
            timeout=seconds,
            follow_redirects=False,  # What we send, keys among it, is for this server alone.
        )
        return WireResponse(
            status=response.status_code, headers=response.headers, content=response.content
        )


@frozen
class _Failure:
    """
    An attempt that did not succeed.

    Attributes:
        error: What the caller is told if it is the last one.
        not_sent: Whether it is certain to have had no effect.
        retry_after: The seconds that the server wants to be left alone.
    """

    error: InventoryError
    not_sent: bool
    retry_after: float = 0.0

    @property
    def retryable(self) -> bool:
        """Whether another attempt may fare better."""
        return (
            isinstance(self.error, StorageThrottledError | StorageUnavailableError)
            and self.retry_after <= _LONGEST_RETRY_AFTER_SECONDS
        )


def _jitter(attempt: int) -> float:
    longest = min(_FIRST_PAUSE_SECONDS * 2 ** min(attempt, 10), _LONGEST_PAUSE_SECONDS)
    return full_jitter(longest)
