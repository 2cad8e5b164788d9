"""`/metrics` of the local server, for Prometheus; needs the extra `metrics`."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Histogram, Info, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from inventory_adapters.http.messages import Response

if TYPE_CHECKING:
    from inventory_adapters.storage.sqlite.outbox import Outbox

__all__ = ["Metrics"]

# Reads of one item take a millisecond; writes wait for the disk, and at most for the time of a request.
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_NO_ROUTE: Final = "other"


class Metrics:
    """
    The metrics of a server.

    Args:
        outbox: The events that the server delivers, if any.
    """

    def __init__(self, outbox: "Outbox | None" = None) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        Info("inventory", "The version of the server", registry=self._registry).info(
            {"version": version("tap-inventory")}
        )
        self._requests = Histogram(
            "inventory_request_seconds",
            "Seconds from the arrival of a request to its response",
            ("route", "status"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        # Because a lookup by labels takes twice as long as a dictionary.
        self._by_labels: dict[tuple[str | None, int], Histogram] = {}
        if outbox is not None:
            self._registry.register(_Webhooks(outbox))

    def observe(self, route: str | None, status: int, seconds: float) -> None:
        """Count a request; *route* is None for a page or a path that does not exist."""
        histogram = self._by_labels.get((route, status))
        if histogram is None:
            histogram = self._requests.labels(route or _NO_ROUTE, str(status))
            self._by_labels[route, status] = histogram
        histogram.observe(seconds)

    def page(self) -> Response:
        """Return all metrics as text."""
        text = generate_latest(self._registry).decode()
        return Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Webhooks(Collector):
    """How many events wait for each webhook, read when somebody asks."""

    def __init__(self, outbox: "Outbox") -> None:
        self._outbox = outbox

    def collect(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "inventory_events", "Events that a webhook has not got", labels=("webhook", "state")
        )
        failures = GaugeMetricFamily(
            "inventory_webhook_failures", "Failed attempts in sequence", labels=("webhook",)
        )
        for sink in self._outbox.sinks():
            for state, count in zip(("pending", "parked"), self._outbox.counts(sink), strict=True):
                waiting.add_metric((sink.name, state), count)
            failures.add_metric((sink.name,), sink.failures + sink.refusals)
        yield waiting
        yield failures
