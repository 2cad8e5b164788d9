"""
InventoryClient: the use cases of `Inventory` over HTTP.

Needs the extra `client`: ``tap-inventory[client]``.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from types import TracebackType
from typing import Final, Self, TypeVar, cast

from attrs import frozen

try:
    import httpx
except ModuleNotFoundError as error:
    raise ImportError(
        "InventoryClient needs one more package: install the extra tap-inventory[client]"
    ) from error

from inventory import batch, lookup
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
    GetStock,
    ListItems,
    ListMovements,
    ListReservations,
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
from inventory.stock import Movement, SkuStock, StockChange, Transfer
from inventory.timeouts import time_left
from inventory_adapters.client.wire import PreparedRequest, UnexpectedAnswerError, WireResponse
from inventory_adapters.http.identity import ACTOR_HEADER, MAX_USER_LENGTH

__all__ = ["InventoryClient", "UnexpectedAnswerError"]

C = TypeVar("C")
R = TypeVar("R")

logger = logging.getLogger("inventory_adapters.client")

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0
# A longer Retry-After is not waited for.
_LONGEST_RETRY_AFTER_SECONDS: Final = 30.0

# Errors that httpx raises before it sends the first byte of a request.
_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class InventoryClient:
    """
    A client with the methods, values and errors of `inventory.Inventory`.

    Commands check their bounds before they are sent. Errors of the server are raised as the same errors with the same facts.
    Responses that this client cannot read raise `UnexpectedAnswerError`. Threads can share a client.

    Differences from `inventory.Inventory`:

    - `level.seq` is `inventory_adapters.wire.UNKNOWN_SEQ` in results of lists, transfers and deletions, unless the server sends
      it with the item. Get the item before an `if_match` for its stock.
    - `expire_reservations` and `reconcile` are missing. They are the tasks of a server and its operator.

    **Retries.** Temporary errors (no connection, no response in time, 429, 502, 503, 504) are retried, up to *retries* times.
    The pause is `Retry-After` with full jitter, within `inventory.timeouts`. A call is retried only if that is safe:

    - GET: always.
    - POST and DELETE: always. They are sent with an idempotency key, that of the command or a new one. `replayed` is also set
      if an earlier attempt of the same call was applied and its response was lost.
    - PUT with an idempotency key: always. The client does not create keys for PUT.
    - PUT with one tag in its `if_match`: always, because after an applied attempt the tag does not match any more.
    - Other PUT: only if the attempt had no effect (no connection, 429), because a retry could undo another caller's edit.

    If an earlier attempt may have succeeded, a 412 to a PUT without a key is ambiguous. It is raised as
    `StorageUnavailableError`, because the edit may or may not have been applied.

    Args:
        base_url: The URL of the API: ``http://localhost:8080``, ``https://api.example.com/prod``.
        api_key: Sent as ``X-Api-Key``.
        actor: The user of this client, sent as ``X-Actor`` and cut at 128 characters. See `acting_as`.
        headers: Sent with each request: ``{"Authorization": ...}``.
        timeout: Seconds for connecting, for sending, and for each wait for a part of the response.
        retries: Maximum number of retries per call.
        http_client: The httpx client to use, for proxies, certificates and authentication. The caller closes it.
        pause: Sleeps for a number of seconds between two attempts.

    Raises:
        ValueError: *base_url* is not an HTTP URL, or *api_key* or *actor* cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        actor: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        retries: int = 3,
        http_client: httpx.Client | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            address = httpx.URL(base_url)
        except httpx.InvalidURL:
            address = httpx.URL()
        if address.scheme not in ("http", "https") or not address.host or address.query:
            raise ValueError(f"base_url is not an HTTP URL: {base_url}")
        self._base_url = base_url.rstrip("/")
        self._headers = dict(headers or {})
        _check_sendable("api_key", api_key)
        if api_key is not None:
            self._headers["X-Api-Key"] = api_key
        _check_sendable("actor", actor)
        self.actor = actor
        self._timeout = timeout
        self._retries = retries
        self._pause = pause
        self._is_ours = http_client is None
        self._http = httpx.Client() if http_client is None else http_client

    def acting_as(self, actor: str | None) -> Self:
        """
        Return a client with another actor. The two share their connections; closing one closes both.

        Raises:
            ValueError: The name cannot be sent.
        """
        _check_sendable("actor", actor)
        client = copy(self)
        client.actor = actor
        return client

    def close(self) -> None:
        """Close the connections, unless *http_client* was passed."""
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
        """See `Inventory.create_item`."""
        return self._call(Inventory.create_item, command)

    def get_item(self, query: GetItem) -> Item:
        """See `Inventory.get_item`."""
        return self._call(Inventory.get_item, query)

    def update_item(self, command: UpdateItem) -> Item:
        """See `Inventory.update_item`."""
        return self._call(Inventory.update_item, command)

    def delete_item(self, command: DeleteItem) -> Item:
        """See `Inventory.delete_item`."""
        return self._call(Inventory.delete_item, command)

    def list_items(self, query: ListItems) -> Page[Item]:
        """See `Inventory.list_items`."""
        return self._call(Inventory.list_items, query)

    def iter_items(self, query: ListItems) -> Iterator[Item]:
        """
        Yield every item that matches *query*, from its page on, each once.

        An item that is edited meanwhile may be on two pages; only the first is yielded. The keys of all yielded items are kept
        in memory for that.
        """
        seen: set[ItemKey] = set()
        for item in lookup.all_items(self.list_items, query):
            if item.key not in seen:
                seen.add(item.key)
                yield item

    def find_by_sku(self, sku: str, *, location: str | None = None) -> tuple[Item, ...]:
        """See `Inventory.find_by_sku`."""
        return lookup.find_by_sku(self.list_items, sku, location)

    def batch_items(self, command: BatchItems) -> "tuple[RowResult, ...]":
        """See `Inventory.batch_items`."""
        batch.check_unique(command.items)
        if command.mode == ALL_OR_NOTHING:
            batch.check_valid(command.items)
        results = self._call(Inventory.batch_items, command)
        # Invalid rows are sent as null, so their errors are not those of the response.
        invalid = {
            index: RowResult.rejected(index, row, row)
            for index, row in enumerate(command.items)
            if isinstance(row, ValidationError)
        }
        return tuple(invalid.get(result.index, result) for result in results)

    # Stock

    def adjust_stock(self, command: AdjustStock) -> StockChange:
        """See `Inventory.adjust_stock`."""
        return self._call(Inventory.adjust_stock, command)

    def count_stock(self, command: CountStock) -> StockChange:
        """See `Inventory.count_stock`."""
        return self._call(Inventory.count_stock, command)

    def transfer_stock(self, command: TransferStock) -> Transfer:
        """See `Inventory.transfer_stock`."""
        return self._call(Inventory.transfer_stock, command)

    def get_stock(self, query: GetStock) -> SkuStock:
        """See `Inventory.get_stock`."""
        return self._call(Inventory.get_stock, query)

    def list_movements(self, query: ListMovements) -> Page[Movement]:
        """See `Inventory.list_movements`."""
        return self._call(Inventory.list_movements, query)

    # Reservations

    def create_reservation(self, command: CreateReservation) -> Reservation:
        """See `Inventory.create_reservation`."""
        return self._call(Inventory.create_reservation, command)

    def get_reservation(self, query: GetReservation) -> Reservation:
        """See `Inventory.get_reservation`."""
        return self._call(Inventory.get_reservation, query)

    def list_reservations(self, query: ListReservations) -> Page[Reservation]:
        """See `Inventory.list_reservations`."""
        return self._call(Inventory.list_reservations, query)

    def commit_reservation(self, command: CommitReservation) -> Reservation:
        """See `Inventory.commit_reservation`."""
        return self._call(Inventory.commit_reservation, command)

    def release_reservation(self, command: ReleaseReservation) -> Reservation:
        """See `Inventory.release_reservation`."""
        return self._call(Inventory.release_reservation, command)

    def extend_reservation(self, command: ExtendReservation) -> Reservation:
        """See `Inventory.extend_reservation`."""
        return self._call(Inventory.extend_reservation, command)

    # Requests

    def _call(self, use_case: Callable[[Inventory, C], R], command: C) -> R:
        """Return the result of *use_case* at the server, or raise its error."""
        response = self._send_with_retries(PreparedRequest.of(use_case, command))
        key: IdempotencyKey | None = getattr(command, "idempotency_key", None)
        if key is not None and response.is_replay:
            key.replayed = True
        return cast("R", response.value(use_case))

    def _send_with_retries(self, request: PreparedRequest) -> WireResponse:
        """Send a request, retry it if that is safe and may help, and return the success response."""
        outcome_unknown = False
        attempt = 0
        while True:
            outcome = self._attempt(request)
            if isinstance(outcome, WireResponse):
                return outcome
            pause = outcome.retry_after + _jitter(attempt)
            if (
                not outcome.retryable
                or not (outcome.not_sent or request.is_repeatable)
                or attempt >= self._retries
                or pause >= time_left()
            ):
                if outcome_unknown and request.is_ambiguous(outcome.error):
                    raise StorageUnavailableError(
                        "The response to an attempt was lost; the request may or may not have been applied"
                    ) from outcome.error
                raise outcome.error
            outcome_unknown = outcome_unknown or not outcome.not_sent
            attempt += 1
            logger.info(
                "request retried",
                extra={
                    "route": request.route.name,
                    "code": outcome.error.code,
                    "pause_seconds": round(pause, 3),
                },
            )
            self._pause(pause)

    def _attempt(self, request: PreparedRequest) -> "WireResponse | _Failure":
        try:
            response = self.send(request)
        except StorageUnavailableError as unanswered:
            cause = unanswered.__cause__
            return _Failure(unanswered, not_sent=cause is None or isinstance(cause, _NOT_SENT))
        if response.is_success:
            return response
        error = response.error()
        throttled = isinstance(error, StorageThrottledError)
        return _Failure(error, not_sent=throttled, retry_after=response.retry_after)

    def send(self, request: PreparedRequest) -> WireResponse:
        """
        Send a request once, and return the response, whatever its status.

        Raises:
            StorageUnavailableError: There is no response.
        """
        actor = {ACTOR_HEADER: self.actor[:MAX_USER_LENGTH].rstrip()} if self.actor else {}
        seconds = min(self._timeout, time_left())
        if seconds <= 0:
            raise StorageUnavailableError("No time is left for this request")
        try:
            response = self._http.request(
                request.route.method,
                self._base_url + request.path,
                headers=httpx.Headers(
                    {**self._headers, **actor, **request.headers}, encoding="utf-8"
                ),
                content=request.body,
                timeout=seconds,
                follow_redirects=False,  # Another server must not receive the API key.
            )
        except httpx.RequestError as failure:
            raise StorageUnavailableError(
                f"The server did not answer: {str(failure) or type(failure).__name__}"
            ) from failure
        return WireResponse(
            status=response.status_code, headers=response.headers, content=response.content
        )


@frozen
class _Failure:
    """
    A failed attempt.

    Attributes:
        error: The error to raise if there is no retry.
        not_sent: Whether the attempt certainly had no effect.
        retry_after: The seconds to wait before a retry, according to the server.
    """

    error: InventoryError
    not_sent: bool
    retry_after: float = 0.0

    @property
    def retryable(self) -> bool:
        """Whether a retry may succeed."""
        return (
            isinstance(self.error, StorageThrottledError | StorageUnavailableError)
            and self.retry_after <= _LONGEST_RETRY_AFTER_SECONDS
        )


def _check_sendable(name: str, value: str | None) -> None:
    if value is not None and not (value.isprintable() and value == value.strip()):
        raise ValueError(f"{name} must consist of visible characters")


def _jitter(attempt: int) -> float:
    longest = min(_FIRST_PAUSE_SECONDS * 2 ** min(attempt, 10), _LONGEST_PAUSE_SECONDS)
    return full_jitter(longest)
