"""The items table and the ledger table, from the schema of the repository."""

from typing import Final

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from inventory_adapters.config import IndexProjection
from inventory_adapters.storage.dynamodb.schema import (
    LEDGER,
    IndexSchema,
    TableSchema,
    items_schema,
)

__all__ = ["Tables"]

# The target utilization of auto scaling.
_UTILIZATION_PERCENT: Final = 70


class Tables(Construct):
    """
    Both tables of a deployment.

    Args:
        prefix: The name of their key: ``inventory-dev``.
        items_name: Name of the items table.
        ledger_name: Name of the ledger table.
        index_projection: Whether the indexes by category and status contain whole items, or only keys.
        capacity: The minimum and maximum units of provisioned capacity; None for billing per request.
        protected: Whether the tables are retained and protected from deletion.
        customer_key: Whether a customer managed key encrypts the tables.

    Attributes:
        items: The items table.
        ledger: The table of movements, reservations, idempotency records and low-stock markers.
        by_schema: The tables, by schema.
        capacity: As the argument.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        items_name: str,
        ledger_name: str,
        index_projection: IndexProjection,
        capacity: tuple[int, int] | None,
        protected: bool,
        customer_key: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        self.capacity = capacity
        self._removal = RemovalPolicy.RETAIN if protected else RemovalPolicy.DESTROY
        self._protected = protected
        self._key = self._make_key(prefix) if customer_key else None
        schema = items_schema(index_projection)
        self.items = self._make("Items", schema, items_name)
        self.ledger = self._make("Ledger", LEDGER, ledger_name)
        self.by_schema = {schema: self.items, LEDGER: self.ledger}

    def index_arn(self, index: IndexSchema) -> str:
        """Return the ARN of an index of either table."""
        [table] = [
            table
            for schema, table in self.by_schema.items()
            if index.name in {own.name for own in schema.indexes}
        ]
        return f"{table.table_arn}/index/{index.name}"

    def _make(self, construct_id: str, schema: TableSchema, name: str) -> dynamodb.Table:
        capacity = self.capacity[0] if self.capacity else None
        table = dynamodb.Table(
            self,
            construct_id,
            table_name=name,
            partition_key=_text(schema.partition_key),
            sort_key=_text(schema.sort_key),
            time_to_live_attribute=schema.time_to_live,
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
            billing_mode=dynamodb.BillingMode.PROVISIONED
            if self.capacity
            else dynamodb.BillingMode.PAY_PER_REQUEST,
            read_capacity=capacity,
            write_capacity=capacity,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED
            if self._key
            else dynamodb.TableEncryption.AWS_MANAGED,
            encryption_key=self._key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=self._protected,
            removal_policy=self._removal,
        )
        for index in schema.indexes:
            table.add_global_secondary_index(
                index_name=index.name,
                partition_key=_text(index.partition_key),
                sort_key=_text(index.sort_key),
                projection_type=dynamodb.ProjectionType[index.projection],
                read_capacity=capacity,
                write_capacity=capacity,
            )
        if self.capacity:
            _scale(table, schema, *self.capacity)
        return table

    def _make_key(self, prefix: str) -> kms.Key:
        key = kms.Key(
            self,
            "Key",
            alias=f"alias/{prefix}",
            description=f"Encrypts the tables of {prefix}",
            enable_key_rotation=True,
            removal_policy=self._removal,
        )
        # As with the AWS managed key of DynamoDB, principals of the account use this key only through DynamoDB. So roles
        # need no permission on the key in addition to that on the table.
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="ThroughDynamoDB",
                principals=[iam.AnyPrincipal()],
                actions=[
                    "kms:CreateGrant",
                    "kms:Decrypt",
                    "kms:DescribeKey",
                    "kms:Encrypt",
                    "kms:GenerateDataKey*",
                    "kms:ReEncrypt*",
                ],
                resources=["*"],
                conditions={
                    "StringEquals": {
                        "kms:CallerAccount": Aws.ACCOUNT_ID,
                        "kms:ViaService": f"dynamodb.{Aws.REGION}.amazonaws.com",
                    }
                },
            )
        )
        return key


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)


def _scale(table: dynamodb.Table, schema: TableSchema, minimum: int, maximum: int) -> None:
    """Scale the table and each index: a throttled index also throttles writes to its table."""
    bounds = {"min_capacity": minimum, "max_capacity": maximum}
    scaled = [table.auto_scale_read_capacity(**bounds), table.auto_scale_write_capacity(**bounds)]
    for index in schema.indexes:
        scaled += [
            table.auto_scale_global_secondary_index_read_capacity(index.name, **bounds),
            table.auto_scale_global_secondary_index_write_capacity(index.name, **bounds),
        ]
    for attribute in scaled:
        attribute.scale_on_utilization(target_utilization_percent=_UTILIZATION_PERCENT)
