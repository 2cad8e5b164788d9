"""What runs by the clock instead of on request."""

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

__all__ = ["SCHEDULED", "Scheduled", "Sweeper"]


@frozen
class Scheduled:
    """
    An operation that nobody asks for.

    Attributes:
        name: An entry of `inventory_adapters.lambda_entry`.
        every_minutes: How often it runs.
    """

    name: str
    every_minutes: int


SCHEDULED: Final = (Scheduled("expire_reservations", every_minutes=1),)


class Sweeper(Construct):
    """
    The schedules, and where a run that failed is put.

    Args:
        scheduled: What runs, and how often.
        handlers: What each operation runs.
        prefix: What every name begins with: ``inventory-dev``.

    Attributes:
        dead_letters: The queue of the runs that failed.
        rules: The schedule of each operation.
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
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=f"{prefix}-dead-letters",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),
        )
        for finding in ("AwsSolutions-SQS3", "Serverless-SQSRedrivePolicy"):
            acknowledge(self.dead_letters, finding, "This is the dead-letter queue.")
        self.rules: dict[str, events.Rule] = {}
        for each in scheduled:
            handler = handlers[each.name]
            period = cdk.Duration.minutes(each.every_minutes)
            # What one run leaves undone, the next one does: a run is not tried again, but is put where an alarm sees it.
            # EventBridge puts there what it could not hand over, and Lambda what then failed.
            handler.configure_async_invoke(
                on_failure=destinations.SqsDestination(self.dead_letters),
                retry_attempts=0,
                max_event_age=period,
            )
            self.rules[each.name] = events.Rule(
                self,
                hyphenated(each.name),
                rule_name=f"{prefix}-{hyphenated(each.name)}",
                description=f"Runs {each.name} by the clock",
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
