"""Names and values of resources, in each kind of environment."""

import json
import re

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from deploy import stack as stack_module
from deploy.environments import LOG_RETENTION_DAYS, SettingsError
from deploy.events import PUBLISH_EVENTS
from deploy.functions import LogPolicy
from deploy.grants import NEEDS, Needs
from deploy.stack import TapStack, TapStackProps
from deploy.sweeper import SCHEDULED
from inventory_adapters import lambda_entry
from inventory_adapters.config import Config
from inventory_adapters.http.routes import ROUTES
from inventory_adapters.storage.dynamodb.schema import ITEMS, LEDGER, create_table_arguments

pytestmark = pytest.mark.synth

OPERATIONS = [
    *(route.name for route in ROUTES),
    *(operation.name for operation in SCHEDULED),
    PUBLISH_EVENTS,
]
TAGS = {"Application": "InventoryManagement", "ManagedBy": "CDK", "Project": "TAP"}
# Timeout in seconds, memory in megabytes, and the reserved concurrency in prod.
SIZES = {
    "create_item": (10, 256, 10),
    "get_item": (5, 256, 20),
    "update_item": (10, 256, 10),
    "delete_item": (5, 256, 5),
    "list_items": (10, 512, 15),
    "expire_reservations": (55, 512, 2),
    "publish_events": (60, 256, None),
}
TABLE, FUNCTION = "AWS::DynamoDB::Table", "AWS::Lambda::Function"
LOG_GROUP, STATEMENTS = "AWS::Logs::LogGroup", "AWS::IAM::Policy"


def function_of(synthesized, operation):
    suffix = synthesized.stack.environment_suffix
    name = f"inventory-{suffix}-{operation.replace('_', '-')}"
    return synthesized.properties(FUNCTION, FunctionName=name)


def references(value):
    """Yield the logical ids that a value refers to."""
    if isinstance(value, dict):
        if "Ref" in value:
            yield value["Ref"]
        if "Fn::GetAtt" in value:
            yield value["Fn::GetAtt"][0]
        for element in value.values():
            yield from references(element)
    elif isinstance(value, list):
        for element in value:
            yield from references(element)


class TestTables:
    @pytest.mark.parametrize(("ending", "schema"), [("", ITEMS), ("-ledger", LEDGER)])
    def test_keys_and_indexes_are_those_of_the_repository(self, env, synthesized, ending, schema):
        """The stack creates the tables of `create_table_arguments`."""
        table = synthesized.properties(TABLE, TableName=f"inventory-{env}{ending}")

        arguments = create_table_arguments(schema, f"inventory-{env}{ending}")
        definitions = arguments.pop("AttributeDefinitions")
        assert {name: table[name] for name in arguments} == arguments
        assert sorted(map(str, table["AttributeDefinitions"])) == sorted(map(str, definitions))

    def test_items_table_has_these_keys_indexes_and_stream(self, env, synthesized):
        """Other clients of the table depend on them."""
        table = synthesized.properties(TABLE, TableName=f"inventory-{env}")
        keys = {
            index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
            for index in table["GlobalSecondaryIndexes"]
        }
        projections = {
            index["IndexName"]: index["Projection"]["ProjectionType"]
            for index in table["GlobalSecondaryIndexes"]
        }

        assert [key["AttributeName"] for key in table["KeySchema"]] == ["item_id", "sku"]
        assert keys == {
            "category-index": ["category", "updated_at"],
            "status-index": ["status", "item_id"],
            "sku-index": ["sku", "item_id"],
        }
        assert projections == {
            "category-index": "ALL",
            "status-index": "ALL",
            "sku-index": "KEYS_ONLY",
        }
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}

    @pytest.mark.parametrize("ending", ["", "-ledger"])
    def test_tables_are_encrypted_and_have_point_in_time_recovery(self, env, synthesized, ending):
        """The default key is managed by AWS."""
        table = synthesized.properties(TABLE, TableName=f"inventory-{env}{ending}")

        assert table["SSESpecification"] == {"SSEEnabled": True}
        assert table.get("PointInTimeRecoverySpecification") == {"PointInTimeRecoveryEnabled": True}

    def test_only_prod_retains_its_tables(self, env, synthesized):
        """The tables of a preview are deleted with its stack."""
        for table in synthesized.of_type(TABLE).values():
            policy = "Retain" if env == "prod" else "Delete"
            assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == (policy, policy)
            assert table["Properties"].get("DeletionProtectionEnabled", False) is (env == "prod")

    def test_protection_is_a_setting(self, customized_preview, minimal_prod):
        """It applies to the tables and the stack."""
        for result, is_protected in (
            (customized_preview, True),
            (minimal_prod, False),
        ):
            assert result.stack.termination_protection is is_protected
            for table in result.of_type(TABLE).values():
                assert table["DeletionPolicy"] == ("Retain" if is_protected else "Delete")
                assert table["Properties"].get("DeletionProtectionEnabled", False) is is_protected

    def test_environment_of_kind_prod_is_like_prod(self, synthesize, prod):
        """The templates differ only in names."""
        synthesized = synthesize("staging", kind="prod", allowedOrigins="https://shop.example.com")

        def without_names(result):
            text = json.dumps(result.template).replace(result.stack.environment_suffix, "ENV")
            return re.sub(r"[0-9A-F]{8}|[0-9a-f]{32,}", "ID", text)

        assert without_names(synthesized) == without_names(prod)

    def test_names_of_tables_are_settings(self, customized_prod):
        """A restored table has another name, which functions and outputs must use."""
        items = customized_prod.named(TABLE, "TableName", "restored")
        ledger = customized_prod.named(TABLE, "TableName", "restored-moves")
        variables = function_of(customized_prod, "get_item")["Environment"]["Variables"]

        assert len(customized_prod.of_type(TABLE)) == 2
        assert variables["TABLE_NAME"] == {"Ref": items}
        assert variables["LEDGER_TABLE_NAME"] == {"Ref": ledger}
        assert customized_prod.template["Outputs"]["TableName"]["Value"] == {"Ref": items}

    def test_capacity_is_a_setting(self, customized_preview):
        """The initial capacity is the minimum."""
        targets = customized_preview.of_type("AWS::ApplicationAutoScaling::ScalableTarget").values()

        assert {
            (target["Properties"]["MinCapacity"], target["Properties"]["MaxCapacity"])
            for target in targets
        } == {(20, 400)}
        for table in customized_preview.of_type(TABLE).values():
            assert table["Properties"]["ProvisionedThroughput"] == {
                "ReadCapacityUnits": 20,
                "WriteCapacityUnits": 20,
            }

    def test_only_the_ledger_has_a_time_to_live(self, env, synthesized):
        """Items do not expire."""
        ledger = synthesized.properties(TABLE, TableName=f"inventory-{env}-ledger")
        items = synthesized.properties(TABLE, TableName=f"inventory-{env}")

        assert ledger.get("TimeToLiveSpecification") == {
            "AttributeName": "delete_after",
            "Enabled": True,
        }
        assert "TimeToLiveSpecification" not in items

    def test_indexes_may_contain_keys_only(self, synthesize):
        """The functions are told, and each may still query the indexes that it queries otherwise."""
        keys = synthesize("feature-42", indexProjection="keys", newTables="true")
        table = keys.properties(TABLE, TableName="inventory-feature-42")
        variables = function_of(keys, "list_items")["Environment"]["Variables"]
        projections = {
            index["IndexName"]: index["Projection"]["ProjectionType"]
            for index in table["GlobalSecondaryIndexes"]
        }

        assert projections == dict.fromkeys(
            ("category-index", "status-index", "sku-index"), "KEYS_ONLY"
        )
        assert variables["INDEX_PROJECTION"] == "keys"
        assert keys.of_type("AWS::IAM::Policy") == synthesize("feature-42").of_type(
            "AWS::IAM::Policy"
        )

    def test_provisioned_capacity_scales_for_tables_and_indexes(self, synthesize):
        """Reads and writes of each scale from 5 to 100 units at a utilization of 70 %."""
        synthesized = synthesize("feature-42", billing="provisioned")
        targets = synthesized.of_type("AWS::ApplicationAutoScaling::ScalableTarget")
        policies = synthesized.of_type("AWS::ApplicationAutoScaling::ScalingPolicy")

        for schema, name in (
            (ITEMS, "inventory-feature-42"),
            (LEDGER, "inventory-feature-42-ledger"),
        ):
            table = synthesized.properties(TABLE, TableName=name)
            assert table.get("BillingMode", "PROVISIONED") == "PROVISIONED"
            for keyed in (table, *table["GlobalSecondaryIndexes"]):
                assert keyed["ProvisionedThroughput"] == {
                    "ReadCapacityUnits": 5,
                    "WriteCapacityUnits": 5,
                }
            dimensions = sorted(
                target["Properties"]["ScalableDimension"]
                for target in targets.values()
                if synthesized.named(TABLE, "TableName", name)
                in references(target["Properties"]["ResourceId"])
            )
            assert dimensions == sorted(
                f"dynamodb:{kind}:{access}CapacityUnits"
                for kind in ["table", *["index"] * len(schema.indexes)]
                for access in ("Read", "Write")
            )
        for target in targets.values():
            bounds = target["Properties"]
            assert (bounds["MinCapacity"], bounds["MaxCapacity"]) == (5, 100)
        for policy in policies.values():
            configuration = policy["Properties"]["TargetTrackingScalingPolicyConfiguration"]
            assert configuration["TargetValue"] == 70
        assert len(policies) == len(targets)

    def test_on_demand_tables_do_not_scale(self, synthesized):
        """On-demand billing has no capacity to scale."""
        assert not synthesized.of_type("AWS::ApplicationAutoScaling::ScalableTarget")

    def test_customer_managed_key_is_usable_only_through_dynamodb(self, customized_preview):
        """Roles need no permission on the key."""
        [(name, key)] = customized_preview.of_type("AWS::KMS::Key").items()
        [_, through] = key["Properties"]["KeyPolicy"]["Statement"]

        assert key["Properties"]["EnableKeyRotation"] is True
        assert set(through["Condition"]["StringEquals"]) == {"kms:CallerAccount", "kms:ViaService"}
        for table in customized_preview.of_type(TABLE).values():
            assert name in references(table["Properties"]["SSESpecification"])


class TestFunctions:
    def test_each_operation_has_a_function(self, env, synthesized):
        """Its name is that of the operation, with hyphens."""
        names = {
            function["Properties"]["FunctionName"]
            for function in synthesized.of_type(FUNCTION).values()
        }

        assert names == {f"inventory-{env}-{name.replace('_', '-')}" for name in OPERATIONS}

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_function_runs_its_handler(self, synthesized, operation):
        """The handler exists, and the runtime is the Python version of the bundle."""
        function = function_of(synthesized, operation)

        assert function["Handler"] == f"inventory_adapters.lambda_entry.{operation}"
        assert function["Runtime"] == "python3.11"
        assert callable(getattr(lambda_entry, operation))

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_function_has_these_limits(self, env, synthesized, operation):
        """Functions that are not in `SIZES` have the defaults."""
        function = function_of(synthesized, operation)
        seconds, megabytes, reserved = SIZES.get(operation, (10, 256, None))

        assert (function["Timeout"], function["MemorySize"]) == (seconds, megabytes)
        assert function.get("ReservedConcurrentExecutions") == (reserved if env == "prod" else None)

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_function_has_these_environment_variables(self, env, synthesized, operation):
        """They are the variables of `Config`, and the name of the environment."""
        variables = {**function_of(synthesized, operation)["Environment"]["Variables"]}
        parameter = synthesized.named("AWS::SSM::Parameter", "Name", f"/inventory/{env}/config")
        if operation == PUBLISH_EVENTS:
            del variables["EVENT_BUS"], variables["DEAD_LETTERS"]

        assert variables == {
            "TABLE_NAME": {"Ref": synthesized.named(TABLE, "TableName", f"inventory-{env}")},
            "LEDGER_TABLE_NAME": {
                "Ref": synthesized.named(TABLE, "TableName", f"inventory-{env}-ledger")
            },
            "ENVIRONMENT": env,
            "CONFIG_PARAMETER": {"Ref": parameter},
            "LOG_LEVEL": "INFO" if env == "prod" else "DEBUG",
            "ALLOWED_ORIGINS": "https://shop.example.com" if env == "prod" else "*",
            "ACTOR_CLAIM": "sub",
            "TRANSPORT": "http",
            "INDEX_PROJECTION": "all",
        }
        assert set(variables) == {*Config.names(), "ENVIRONMENT"}

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_function_is_traced_and_logs_json_to_its_own_group(self, env, synthesized, operation):
        """A group that Lambda creates has unlimited retention."""
        function = function_of(synthesized, operation)
        group = synthesized.named(
            LOG_GROUP, "LogGroupName", f"/aws/lambda/{function['FunctionName']}"
        )

        assert function["TracingConfig"] == {"Mode": "Active"}
        assert function["LoggingConfig"] == {"LogFormat": "JSON", "LogGroup": {"Ref": group}}

    def test_all_functions_have_the_same_code(self, synthesized):
        """The bundle is uploaded once."""
        codes = {
            json.dumps(function["Properties"]["Code"])
            for function in synthesized.of_type(FUNCTION).values()
        }

        assert len(codes) == 1

    def test_runtime_and_memory_are_settings(self, customized_preview):
        """They apply to all functions."""
        for function in customized_preview.of_type(FUNCTION).values():
            assert function["Properties"]["Runtime"] == "python3.13"
            assert function["Properties"]["MemorySize"] == 1024

    def test_concurrency_of_a_function_is_a_setting(self, customized_prod):
        """The other functions have their defaults."""
        concurrency = [
            function_of(customized_prod, name).get("ReservedConcurrentExecutions")
            for name in ("create_item", "get_item", "list_items")
        ]

        assert concurrency == [40, None, 15]

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_reserved_concurrency_can_be_disabled(self, minimal_prod, operation):
        """The quota of a new account may be 10. The setting of a single function still applies."""
        function = function_of(minimal_prod, operation)

        expected = 40 if operation == "create_item" else None
        assert function.get("ReservedConcurrentExecutions") == expected


class TestLogs:
    def test_log_retention_is_7_days_in_dev_and_30_elsewhere(self, env, synthesized):
        """No group has unlimited retention."""
        for group in synthesized.of_type(LOG_GROUP).values():
            assert group["Properties"]["RetentionInDays"] == (7 if env == "dev" else 30)

    def test_every_retention_period_of_cloudwatch_is_supported(self):
        """The period in the template is the number of days."""
        stack = cdk.Stack(cdk.App(builtin_cloud_formation_validation=False), "Stack")
        for days in LOG_RETENTION_DAYS:
            policy = LogPolicy(retention_days=days, removal=cdk.RemovalPolicy.DESTROY)
            policy.group(stack, f"for-{days}", f"for-{days}")

        groups = Template.from_stack(stack).find_resources(LOG_GROUP).values()
        assert {
            group["Properties"]["LogGroupName"]: group["Properties"]["RetentionInDays"]
            for group in groups
        } == {f"for-{days}": days for days in LOG_RETENTION_DAYS}

    def test_log_encryption_key_is_a_setting(self, customized_prod, prod):
        """It applies to all log groups."""
        key = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"

        for group in customized_prod.of_type(LOG_GROUP).values():
            assert group["Properties"]["KmsKeyId"] == key
            assert group["Properties"]["RetentionInDays"] == 400
        assert not any(
            "KmsKeyId" in group["Properties"] for group in prod.of_type(LOG_GROUP).values()
        )

    def test_only_prod_retains_its_logs_except_after_a_failed_creation(self, env, synthesized):
        """A retained group would make the next creation fail."""
        for group in synthesized.of_type(LOG_GROUP).values():
            policy = "RetainExceptOnCreate" if env == "prod" else "Delete"
            assert group["DeletionPolicy"] == policy

    def test_every_function_and_the_gateway_have_log_groups(self, env, synthesized):
        """The gateway has an access log and an execution log."""
        names = [
            group["Properties"]["LogGroupName"] for group in synthesized.of_type(LOG_GROUP).values()
        ]
        literals = {name for name in names if isinstance(name, str)}
        [execution] = [name for name in names if not isinstance(name, str)]

        assert literals == {
            f"/aws/apigateway/inventory-{env}",
            *(f"/aws/lambda/inventory-{env}-{name.replace('_', '-')}" for name in OPERATIONS),
        }
        assert execution["Fn::Join"][1][0] == "API-Gateway-Execution-Logs_"
        assert execution["Fn::Join"][1][-1] == f"/{env}"


class TestRoles:
    def statements(self, synthesized, operation):
        [role] = references(function_of(synthesized, operation)["Role"])
        [policy] = [
            policy["Properties"]
            for policy in synthesized.of_type(STATEMENTS).values()
            if {"Ref": role} in policy["Properties"]["Roles"]
        ]
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            actions, resources = statement["Action"], statement["Resource"]
            for action in [actions] if isinstance(actions, str) else actions:
                for resource in resources if isinstance(resources, list) else [resources]:
                    yield action, resource

    def test_every_function_has_its_own_role(self, synthesized):
        """The roles have no managed policies, which others could extend."""
        roles = [
            role
            for function in synthesized.of_type(FUNCTION).values()
            for role in references(function["Properties"]["Role"])
        ]

        assert len(set(roles)) == len(roles)
        for role in roles:
            assert "ManagedPolicyArns" not in synthesized.template["Resources"][role]["Properties"]

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_role_has_the_permissions_of_its_operation(self, env, synthesized, operation):
        """They apply to the tables, indexes, log group and parameter of the stack."""
        items = synthesized.named(TABLE, "TableName", f"inventory-{env}")
        ledger = synthesized.named(TABLE, "TableName", f"inventory-{env}-ledger")
        function = function_of(synthesized, operation)["FunctionName"]
        group = synthesized.named(LOG_GROUP, "LogGroupName", f"/aws/lambda/{function}")
        parameter = synthesized.named("AWS::SSM::Parameter", "Name", f"/inventory/{env}/config")
        needs = NEEDS[operation]
        table_of = dict.fromkeys(ITEMS.indexes, items) | dict.fromkeys(LEDGER.indexes, ledger)

        expected = {
            *((f"dynamodb:{action}", (items, "")) for action in needs.items),
            *((f"dynamodb:{action}", (ledger, "")) for action in needs.ledger),
            *(
                ("dynamodb:Query", (table_of[index], f"/index/{index.name}"))
                for index in needs.queried
            ),
            ("logs:CreateLogStream", (group, "")),
            ("logs:PutLogEvents", (group, "")),
            ("xray:PutTraceSegments", "*"),
            ("xray:PutTelemetryRecords", "*"),
        }
        if needs.limits:
            expected.add(("ssm:GetParameter", parameter))
        if operation in {scheduled.name for scheduled in SCHEDULED}:
            expected |= self.sending_to(synthesized, "dead-letters")
        if operation == PUBLISH_EVENTS:
            expected |= self.sending_to(synthesized, "event-dead-letters")
            [bus] = synthesized.of_type("AWS::Events::EventBus")
            expected.add(("events:PutEvents", (bus, "")))
            reading = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
            expected |= {
                (f"dynamodb:{action}", (table, ""))
                for action in reading
                for table in (items, ledger)
            }

        assert {
            (action, self.shortened(resource))
            for action, resource in self.statements(synthesized, operation)
        } == expected

    def sending_to(self, synthesized, name):
        name = f"inventory-{synthesized.stack.environment_suffix}-{name}"
        queue = synthesized.named("AWS::SQS::Queue", "QueueName", name)
        return {
            (f"sqs:{action}", (queue, ""))
            for action in ("GetQueueAttributes", "GetQueueUrl", "SendMessage")
        }

    def shortened(self, resource):
        """Return a resource as its logical id and the rest of its ARN."""
        if resource == "*":
            return "*"
        if "Fn::GetAtt" in resource:
            return resource["Fn::GetAtt"][0], ""
        parts = resource["Fn::Join"][1]
        [logical_id] = [name for name in references(parts) if not name.startswith("AWS::")]
        return logical_id if ":parameter" in json.dumps(parts) else (logical_id, parts[-1])

    def test_only_x_ray_statements_have_a_wildcard(self, synthesized):
        """X-Ray actions do not support resources."""
        for policy in synthesized.of_type(STATEMENTS).values():
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                if "*" in json.dumps([statement["Action"], statement["Resource"]]):
                    assert set(statement["Action"]) == {
                        "xray:PutTraceSegments",
                        "xray:PutTelemetryRecords",
                    }

    def test_only_list_operations_read_a_parameter(self, synthesized):
        """The page limits are the only parameter that functions read."""
        readers = {
            operation
            for operation in OPERATIONS
            if "ssm:GetParameter" in dict(self.statements(synthesized, operation))
        }

        assert readers == {name for name in OPERATIONS if name.startswith("list_")}


class TestParameters:
    def test_table_name_is_a_parameter(self, env, synthesized):
        """Other programs find the table by this parameter."""
        parameter = synthesized.properties(
            "AWS::SSM::Parameter", Name=f"/inventory/{env}/table-name"
        )

        assert parameter["Value"] == {
            "Ref": synthesized.named(TABLE, "TableName", f"inventory-{env}")
        }
        assert parameter["Type"] == "String"

    def test_page_limits_are_a_parameter(self, env, synthesized):
        """The value has the format that the functions read."""
        parameter = synthesized.properties("AWS::SSM::Parameter", Name=f"/inventory/{env}/config")

        assert json.loads(parameter["Value"]) == {"max_items_per_page": 50, "default_page_size": 20}


class TestStack:
    def test_outputs_and_exports(self, env, synthesized):
        """There are no other outputs."""
        outputs = synthesized.template["Outputs"]

        assert {name: output["Export"]["Name"] for name, output in outputs.items()} == {
            "ApiEndpoint": f"InventoryApi-{env}-Endpoint",
            "TableName": f"InventoryApi-{env}-TableName",
            "EnvironmentName": f"InventoryApi-{env}-Environment",
        }
        assert outputs["EnvironmentName"]["Value"] == env
        [api] = synthesized.of_type("AWS::ApiGateway::RestApi")
        assert api in references(outputs["ApiEndpoint"]["Value"])
        assert outputs["TableName"]["Value"] == {
            "Ref": synthesized.named(TABLE, "TableName", f"inventory-{env}")
        }

    def test_attributes_refer_to_the_resources(self, env, synthesized):
        """Other stacks can use them."""
        assert synthesized.stack.environment_suffix == env
        assert (
            synthesized.stack.resolve(synthesized.stack.table.table_name)
            == synthesized.template["Outputs"]["TableName"]["Value"]
        )
        assert (
            synthesized.stack.resolve(synthesized.stack.api_endpoint)
            == synthesized.template["Outputs"]["ApiEndpoint"]["Value"]
        )

    def test_all_taggable_resources_have_the_tags(self, env, synthesized):
        """Costs can be allocated by tag."""
        tagged = [
            resource["Properties"]["Tags"]
            for resource in synthesized.template["Resources"].values()
            if "Tags" in resource["Properties"]
        ]

        assert len(tagged) > len(OPERATIONS) * 2
        for tags in tagged:
            by_key = tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
            assert by_key == {**TAGS, "Environment": env}

    def test_only_prod_has_termination_protection(self, env, synthesized):
        """A single call must not delete a production stack."""
        assert synthesized.stack.termination_protection is (env == "prod")

    def test_stack_has_a_description(self, env, synthesized):
        """The description names the environment."""
        assert synthesized.template["Description"].endswith(f"({env})")

    def test_names_of_functions_are_at_most_64_characters(self, synthesize):
        """This is the limit of AWS, also with the longest suffix."""
        synthesized = synthesize("a" * 20)

        for function in synthesized.of_type(FUNCTION).values():
            assert len(function["Properties"]["FunctionName"]) <= 64

    def test_synthesis_is_deterministic(self, tmp_path, prod):
        """A deployment without changes must not update resources."""
        from deploy.app import make_app

        context = {
            "environmentSuffix": "prod",
            "stubBundle": "true",
            "allowedOrigins": "https://shop.example.com",
        }
        app = make_app(context, outdir=str(tmp_path), check_templates=False)

        assert app.synth().get_stack_by_name("TapStackprod").template == prod.template

    def test_template_contains_no_local_paths(self, synthesized):
        """The template does not depend on the machine."""
        assert not re.search(r"/(home|root|tmp|Users|work)/", json.dumps(synthesized.template))


class TestProps:
    def synth(self, props=None, context=None, **stack):
        app = cdk.App(context=context, builtin_cloud_formation_validation=False)
        synthesized = TapStack(app, "Stack", props, **stack)
        return synthesized, app.synth().get_stack_by_name("Stack")

    def test_suffix_in_props_overrides_the_context(self):
        """A program has precedence over its context."""
        props = TapStackProps(environment_suffix="one")

        synthesized, _ = self.synth(props, {"environmentSuffix": "two"})

        assert synthesized.environment_suffix == "one"

    @pytest.mark.parametrize(
        ("context", "expected"), [({"environmentSuffix": "two"}, "two"), ({}, "dev")]
    )
    def test_suffix_defaults_to_the_context_and_then_to_dev(self, context, expected):
        """This also applies without props."""
        synthesized, _ = self.synth(None, context)

        assert synthesized.environment_suffix == expected

    @pytest.mark.parametrize("suffix", ["", "Prod", "x_y"])
    def test_invalid_suffix_is_rejected(self, suffix):
        """An empty suffix does not select dev."""
        with pytest.raises(SettingsError):
            self.synth(TapStackProps(environment_suffix=suffix))

    def test_env_and_stack_arguments_are_passed_on(self):
        """The arguments override the defaults."""
        env = cdk.Environment(account="123456789012", region="eu-west-1")

        synthesized, artifact = self.synth(TapStackProps(env=env), description="Ours")

        assert (synthesized.account, synthesized.region) == ("123456789012", "eu-west-1")
        assert artifact.template["Description"] == "Ours"

    def test_missing_bundle_is_an_error_of_the_assembly(self):
        """The CDK refuses to deploy, but the template can be read."""
        _, artifact = self.synth()

        [message] = [message for message in artifact.messages if message.level.name == "ERROR"]
        assert "pass a bundle" in str(message.entry.data)

    def test_stub_bundle_is_no_error(self):
        """The context requests it explicitly."""
        _, artifact = self.synth(None, {"stubBundle": "true"})

        assert not artifact.messages

    def test_functions_have_the_code_of_the_bundle(self, tmp_path):
        """The name of the asset follows from its content."""
        (tmp_path / "code.py").write_text("pass")

        _, artifact = self.synth(TapStackProps(bundle=tmp_path))
        _, stub = self.synth(None, {"stubBundle": "true"})

        def keys(assembly):
            return set(re.findall(r"[0-9a-f]{64}\.zip", json.dumps(assembly.template)))

        assert len(keys(artifact)) == 1
        assert keys(artifact) != keys(stub)


def test_new_route_gets_all_resources_of_a_route(monkeypatch):
    """It needs one row in the route table and one in the grants."""
    command = ROUTES[0].command
    route = type(ROUTES[0])("POST", "/sheep/{sku}", command, count_sheep, 200, ROUTES[0].answer)
    monkeypatch.setattr(stack_module, "ROUTES", (*ROUTES, route))
    monkeypatch.setitem(NEEDS, "count_sheep", Needs(items={"GetItem"}))
    app = cdk.App(context={"stubBundle": "true"}, builtin_cloud_formation_validation=False)
    TapStack(app, "Stack")

    template = app.synth().get_stack_by_name("Stack").template

    kinds = {}
    for resource in template["Resources"].values():
        if "sheep" in json.dumps(resource).lower():
            kinds.setdefault(resource["Type"], []).append(resource["Properties"])
    assert {
        FUNCTION,
        LOG_GROUP,
        STATEMENTS,
        "AWS::IAM::Role",
        "AWS::Lambda::Permission",
        "AWS::ApiGateway::Resource",
        "AWS::ApiGateway::Method",
        "AWS::CloudWatch::Alarm",
    } <= set(kinds)
    [policy] = kinds[STATEMENTS]
    assert "dynamodb:GetItem" in json.dumps(policy)
    assert "dynamodb:PutItem" not in json.dumps(policy)


def count_sheep(_inventory, _command):
    """Stand in for a use case; the operation has the name of this function."""
