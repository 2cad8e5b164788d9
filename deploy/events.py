"""Events of a deployment: from the streams of both tables, through a function, to a bus of EventBridge."""

from collections.abc import Mapping
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from constructs import Construct

from deploy.sweeper import dead_letter_queue
from deploy.tables import Tables
from inventory_adapters.storage.dynamodb.schema import MOVEMENT_PREFIX, RESERVATION_SK

__all__ = ["PUBLISH_EVENTS", "EventBus"]

PUBLISH_EVENTS: Final = "publish_events"
"""The name of the handler in `inventory_adapters.lambda_entry`."""

_BATCH_SIZE: Final = 100
# With pauses that Lambda makes longer and longer, for the better part of the day that a stream keeps its records.
_ATTEMPTS: Final = 100
_MAX_AGE: Final = cdk.Duration.hours(20)
_WRITTEN: Final = {"eventName": ["INSERT", "MODIFY"]}
# Low-stock markers, pointers and idempotency records make no events.
_OF_THE_LEDGER: Final = {
    **_WRITTEN,
    "dynamodb": {"Keys": {"sk": {"S": [{"prefix": MOVEMENT_PREFIX}, RESERVATION_SK]}}},
}


class EventBus(Construct):
    """
    The bus, and what fills it.

    Args:
        prefix: The name of the bus: ``inventory-dev``.
        function: The function that publishes.
        handler: The function, or its alias.
        tables: The tables.
        archive_days: How long the bus keeps events for a replay; None for no archive.

    Attributes:
        bus: The bus.
        dead_letters: The queue of events, and of batches of stream records, that could not be published.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        function: lambda_.Function,
        handler: lambda_.IFunction,
        tables: Tables,
        archive_days: int | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.bus = events.EventBus(self, "Bus", event_bus_name=prefix)
        self.dead_letters = dead_letter_queue(self, f"{prefix}-event-dead-letters")
        if archive_days is not None:
            self.bus.archive(
                "Archive",
                archive_name=prefix,
                description=f"Events of {prefix}, for a replay",
                event_pattern=events.EventPattern(source=[prefix]),
                retention=cdk.Duration.days(archive_days),
            )
        function.add_environment("EVENT_BUS", self.bus.event_bus_name)
        function.add_environment("DEAD_LETTERS", self.dead_letters.queue_url)
        for action, arn in (
            ("events:PutEvents", self.bus.event_bus_arn),
            ("sqs:SendMessage", self.dead_letters.queue_arn),
        ):
            function.add_to_role_policy(iam.PolicyStatement(actions=[action], resources=[arn]))
        self._read(tables.items, _WRITTEN, function, handler)
        self._read(tables.ledger, _OF_THE_LEDGER, function, handler)

    def _read(
        self,
        table: dynamodb.Table,
        pattern: Mapping[str, object],
        function: lambda_.Function,
        handler: lambda_.IFunction,
    ) -> None:
        """Send what is written to *table* to the function, in the order of the writes of each item."""
        stream = str(table.table_stream_arn)
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=[
                    "dynamodb:DescribeStream",
                    "dynamodb:GetRecords",
                    "dynamodb:GetShardIterator",
                    "dynamodb:ListStreams",
                ],
                resources=[stream],
            )
        )
        mapping = lambda_.EventSourceMapping(
            self,
            table.node.id,
            target=handler,
            event_source_arn=stream,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=_BATCH_SIZE,
            parallelization_factor=1,
            filters=[lambda_.FilterCriteria.filter({**pattern})],
            report_batch_item_failures=True,
            bisect_batch_on_error=True,
            retry_attempts=_ATTEMPTS,
            max_record_age=_MAX_AGE,
            on_failure=event_sources.SqsDlq(self.dead_letters),
        )
        # Lambda checks the permissions of the role when the mapping is made.
        mapping.node.add_dependency(function.role or function)
