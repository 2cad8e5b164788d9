"""Scheduled operations and their dead-letter queue."""

from collections.abc import Mapping, Sequence
from typing import Final

import aws_cdk as cdk
from attrs import frozen
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from deploy.acknowledgements import acknowledge
from deploy.functions import hyphenated

__all__ = ["SCHEDULED", "Scheduled", "SweeperSchedule", "dead_letter_queue"]


@frozen
class Scheduled:
    """
    A scheduled operation.

    Attributes:
        name: The name of its handler in `inventory_adapters.lambda_entry`.
        every_minutes: The interval between runs.
    """

    name: str
    every_minutes: int


SCHEDULED: Final = (Scheduled("expire_reservations", every_minutes=1),)


def dead_letter_queue(scope: Construct, name: str) -> sqs.Queue:
    """Create a queue for what failed; a message stays for two weeks."""
    queue = sqs.Queue(
        scope,
        "DeadLetters",
        queue_name=name,
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=cdk.Duration.days(14),
    )
    for finding in ("AwsSolutions-SQS3", "Serverless-SQSRedrivePolicy"):
        acknowledge(queue, finding, "This is the dead-letter queue.")
    return queue


class SweeperSchedule(Construct):
    """
    The schedules, and the queue of failed runs.

    Args:
        scheduled: The scheduled operations.
        handlers: The function, or alias, of each operation.
        prefix: The prefix of every name: ``inventory-dev``.

    Attributes:
        dead_letters: The queue of failed runs.
        rules: The schedules, by operation.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        scheduled: Sequence[Scheduled],
        handlers: Mapping[str, lambda_.IFunction],
        prefix: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = dead_letter_queue(self, f"{prefix}-dead-letters")
        self.rules: dict[str, events.Rule] = {}
        for operation in scheduled:
            handler = handlers[operation.name]
            period = cdk.Duration.minutes(operation.every_minutes)
            # A failed run is not retried, because the next run does the same work. It goes to the queue, which has an alarm:
            # EventBridge sends runs that it could not start, and Lambda sends runs that failed.
            handler.configure_async_invoke(
                on_failure=destinations.SqsDestination(self.dead_letters),
                retry_attempts=0,
                max_event_age=period,
            )
            self.rules[operation.name] = events.Rule(
                self,
                hyphenated(operation.name),
                rule_name=f"{prefix}-{hyphenated(operation.name)}",
                description=f"Runs {operation.name} on schedule",
                schedule=events.Schedule.rate(period),
                targets=[
                    targets.LambdaFunction(
                        handler,
                        dead_letter_queue=self.dead_letters,
                        retry_attempts=0,
                        max_event_age=period,
                    )
                ],
            )
