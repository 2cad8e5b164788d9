"""Metrics from log lines, for facts that the metrics of AWS do not show."""

from collections.abc import Mapping
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from deploy.functions import hyphenated

__all__ = ["LogMetrics"]

_FAILED: Final = "FailedRequests"
_FAILED_BY_VERSION: Final = "FailedRequestsByVersion"
_CONTENTION: Final = "Contention"
_THROTTLED: Final = "TooManyRequests"
_OLDEST_DUE: Final = "OldestDueSeconds"

# Matches the log line that `inventory_adapters.http.api_gateway` writes for each request. Handlers return a response in every
# case, so the metric `Errors` of Lambda stays at 0 even if all requests fail.
_FAILED_REQUEST: Final = '{ $.message = "request" && $.status >= 500 }'
_CONTENDED_REQUEST: Final = '{ $.message = "request" && $.code = "contention" }'
# The access log of the gateway contains the status as text.
_THROTTLED_REQUEST: Final = '{ $.status = "429" }'
# The log line of a sweep contains how long the oldest due reservation has been due.
_SWEEP: Final = "{ $.oldest_due_seconds >= 0 }"
_OLDEST_DUE_SECONDS: Final = "$.oldest_due_seconds"


class LogMetrics(Construct):
    """
    The metric filters of a deployment.

    Args:
        environment: The suffix of the environment; its metrics are in the namespace ``Inventory/<environment>``.
        function_logs: The log groups of the functions that handle requests, by operation.
        sweeper_log: The log group of the sweeper.
        access_log: The access log of the gateway.
        by_version: Whether to also count failed requests for each version of a function.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: str,
        function_logs: Mapping[str, logs.LogGroup],
        sweeper_log: logs.LogGroup,
        access_log: logs.LogGroup,
        by_version: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        self._namespace = f"Inventory/{environment}"
        self._count("TooManyRequests", access_log, _THROTTLED_REQUEST, _THROTTLED)
        self._count("OldestDue", sweeper_log, _SWEEP, _OLDEST_DUE, value=_OLDEST_DUE_SECONDS)
        for operation, log_group in function_logs.items():
            parent = Construct(self, hyphenated(operation))
            self._count("Failed", log_group, _FAILED_REQUEST, _FAILED, parent=parent)
            self._count("Contention", log_group, _CONTENDED_REQUEST, _CONTENTION, parent=parent)
            if by_version:
                self._count(
                    "FailedByVersion",
                    log_group,
                    _FAILED_REQUEST,
                    _FAILED_BY_VERSION,
                    parent=parent,
                    dimensions={"Operation": "$.route", "Version": "$.function_version"},
                )

    def too_many_requests(self, period: cdk.Duration) -> cloudwatch.Metric:
        """Return the number of responses with status 429, of functions and gateway."""
        return self._metric(_THROTTLED, period)

    def oldest_due_seconds(self, period: cdk.Duration) -> cloudwatch.Metric:
        """Return how long the oldest due reservation had been due when a sweep ended."""
        return self._metric(_OLDEST_DUE, period, statistic="Maximum")

    def contention(self, period: cdk.Duration) -> cloudwatch.Metric:
        """Return the number of requests that were given up because others changed the same item."""
        return self._metric(_CONTENTION, period)

    def failed_requests(self, period: cdk.Duration) -> cloudwatch.Metric:
        """Return the number of responses of functions with status 500 or above."""
        return self._metric(_FAILED, period)

    def failed_requests_of(
        self, operation: str, version: str, period: cdk.Duration
    ) -> cloudwatch.Metric:
        """Return the number of responses of one function version with 500 or above."""
        return self._metric(
            _FAILED_BY_VERSION, period, dimensions={"Operation": operation, "Version": version}
        )

    def _count(
        self,
        construct_id: str,
        log_group: logs.LogGroup,
        pattern: str,
        metric: str,
        *,
        parent: Construct | None = None,
        value: str = "1",
        dimensions: Mapping[str, str] | None = None,
    ) -> None:
        logs.MetricFilter(
            parent or self,
            construct_id,
            log_group=log_group,
            filter_pattern=logs.FilterPattern.literal(pattern),
            metric_namespace=self._namespace,
            metric_name=metric,
            metric_value=value,
            dimensions=dimensions,
        )

    def _metric(
        self,
        name: str,
        period: cdk.Duration,
        *,
        statistic: str = "Sum",
        dimensions: Mapping[str, str] | None = None,
    ) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=self._namespace,
            metric_name=name,
            dimensions_map=dimensions,
            statistic=statistic,
            period=period,
        )
