"""The fixed names and values of the deployment, one by one, in each kind of environment."""

import json
import re

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from deploy import stack as stack_module
from deploy.environments import LOG_RETENTION_DAYS, SettingsError
from deploy.functions import LogKeeping
from deploy.grants import NEEDS, Needs
from deploy.stack import TapStack, TapStackProps
from deploy.sweeper import SCHEDULED
from inventory_adapters import lambda_entry
from inventory_adapters.config import Config
from inventory_adapters.http.routes import ROUTES
from inventory_adapters.storage.dynamodb.schema import ITEMS, LEDGER, create_table_arguments

OPERATIONS = [*(route.name for route in ROUTES), *(it.name for it in SCHEDULED)]
TAGS = {"Application": "InventoryManagement", "ManagedBy": "CDK", "Project": "TAP"}
# Seconds, megabytes, and the concurrency that prod reserves.
SIZES = {
    "create_item": (10, 256, 10),
    "get_item": (5, 256, 20),
    "update_item": (10, 256, 10),
    "delete_item": (5, 256, 5),
    "list_items": (10, 512, 15),
    "expire_reservations": (55, 512, 2),
}
TABLE, FUNCTION = "AWS::DynamoDB::Table", "AWS::Lambda::Function"
LOG_GROUP, STATEMENTS = "AWS::Logs::LogGroup", "AWS::IAM::Policy"


def function_of(made, operation):
    suffix = made.stack.environment_suffix
    name = f"inventory-{suffix}-{operation.replace('_', '-')}"
    return made.properties(FUNCTION, FunctionName=name)


def references(value):
    """The logical ids that a value speaks of."""
    if isinstance(value, dict):
        if "Ref" in value:
            yield value["Ref"]
        if "Fn::GetAtt" in value:
            yield value["Fn::GetAtt"][0]
        for it in value.values():
            yield from references(it)
    elif isinstance(value, list):
        for it in value:
            yield from references(it)


class TestTables:
    @pytest.mark.parametrize(("ending", "schema"), [("", ITEMS), ("-ledger", LEDGER)])
    def test_keys_and_indexes_are_those_of_the_repository(self, env, made, ending, schema):
        """What the stack makes is what `create_table_arguments` would."""
        table = made.properties(TABLE, TableName=f"inventory-{env}{ending}")

        wanted = create_table_arguments(schema, f"inventory-{env}{ending}")
        definitions = wanted.pop("AttributeDefinitions")
        assert {name: table[name] for name in wanted} == wanted
        assert sorted(map(str, table["AttributeDefinitions"])) == sorted(map(str, definitions))

    def test_the_items_table_by_name(self, env, made):
        """As clients of the table, and of its indexes, know it."""
        table = made.properties(TABLE, TableName=f"inventory-{env}")
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
    def test_both_tables_are_encrypted_and_can_be_restored(self, env, made, ending):
        """With the key that AWS keeps; to any second of the last 35 days."""
        table = made.properties(TABLE, TableName=f"inventory-{env}{ending}")

        assert table["SSESpecification"] == {"SSEEnabled": True}
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}

    def test_only_prod_keeps_its_tables(self, env, made):
        """A preview leaves nothing behind; prod loses nothing."""
        for table in made.of_type(TABLE).values():
            policy = "Retain" if env == "prod" else "Delete"
            assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == (policy, policy)
            assert table["Properties"].get("DeletionProtectionEnabled", False) is (env == "prod")

    def test_protection_is_a_setting(self, synthesize):
        """Of the tables, of the logs, and of the stack."""
        kept, open_ = (
            synthesize("feature-42", protected="true"),
            synthesize("prod", protected="false"),
        )

        for made, is_kept in ((kept, True), (open_, False)):
            assert made.stack.termination_protection is is_kept
            for table in made.of_type(TABLE).values():
                assert table["DeletionPolicy"] == ("Retain" if is_kept else "Delete")
                assert table["Properties"].get("DeletionProtectionEnabled", False) is is_kept

    def test_a_kind_makes_any_name_like_prod(self, synthesize, prod):
        """But for the names, the templates are one."""
        made = synthesize("staging", kind="prod", allowedOrigins="https://shop.example.com")

        def plain(it):
            text = json.dumps(it.template).replace(it.stack.environment_suffix, "ENV")
            return re.sub(r"[0-9A-F]{8}|[0-9a-f]{32,}", "ID", text)

        assert plain(made) == plain(prod)

    def test_tables_can_have_names_of_their_own(self, synthesize):
        """As those that a restore has made; functions, roles and outputs follow."""
        made = synthesize("prod", tableName="restored", ledgerTableName="restored-moves")
        items = made.named(TABLE, "TableName", "restored")
        ledger = made.named(TABLE, "TableName", "restored-moves")
        variables = function_of(made, "get_item")["Environment"]["Variables"]

        assert len(made.of_type(TABLE)) == 2
        assert variables["TABLE_NAME"] == {"Ref": items}
        assert variables["LEDGER_TABLE_NAME"] == {"Ref": ledger}
        assert made.template["Outputs"]["TableName"]["Value"] == {"Ref": items}

    def test_capacity_has_bounds_of_its_own(self, synthesize):
        """It starts at the least."""
        made = synthesize("feature-42", billing="provisioned", capacity="20-400")
        targets = made.of_type("AWS::ApplicationAutoScaling::ScalableTarget").values()

        assert {
            (it["Properties"]["MinCapacity"], it["Properties"]["MaxCapacity"]) for it in targets
        } == {(20, 400)}
        for table in made.of_type(TABLE).values():
            assert table["Properties"]["ProvisionedThroughput"] == {
                "ReadCapacityUnits": 20,
                "WriteCapacityUnits": 20,
            }

    def test_the_ledger_forgets_by_its_time_to_live(self, env, made):
        """The items table has none."""
        ledger = made.properties(TABLE, TableName=f"inventory-{env}-ledger")
        items = made.properties(TABLE, TableName=f"inventory-{env}")

        assert ledger["TimeToLiveSpecification"] == {
            "AttributeName": "delete_after",
            "Enabled": True,
        }
        assert "TimeToLiveSpecification" not in items

    def test_capacity_that_is_paid_for_follows_the_load_in_indexes_too(self, synthesize):
        """5 to 100 units at 70 %, for each of the tables and each of their indexes, reading and writing."""
        made = synthesize("feature-42", billing="provisioned")
        targets = made.of_type("AWS::ApplicationAutoScaling::ScalableTarget")
        policies = made.of_type("AWS::ApplicationAutoScaling::ScalingPolicy")

        for schema, name in (
            (ITEMS, "inventory-feature-42"),
            (LEDGER, "inventory-feature-42-ledger"),
        ):
            table = made.properties(TABLE, TableName=name)
            assert table.get("BillingMode", "PROVISIONED") == "PROVISIONED"
            for keyed in (table, *table["GlobalSecondaryIndexes"]):
                assert keyed["ProvisionedThroughput"] == {
                    "ReadCapacityUnits": 5,
                    "WriteCapacityUnits": 5,
                }
            dimensions = sorted(
                it["Properties"]["ScalableDimension"]
                for it in targets.values()
                if made.named(TABLE, "TableName", name)
                in references(it["Properties"]["ResourceId"])
            )
            assert dimensions == sorted(
                f"dynamodb:{kind}:{way}CapacityUnits"
                for kind in ["table", *["index"] * len(schema.indexes)]
                for way in ("Read", "Write")
            )
        for target in targets.values():
            bounds = target["Properties"]
            assert (bounds["MinCapacity"], bounds["MaxCapacity"]) == (5, 100)
        for policy in policies.values():
            tracked = policy["Properties"]["TargetTrackingScalingPolicyConfiguration"]
            assert tracked["TargetValue"] == 70
        assert len(policies) == len(targets)

    def test_tables_billed_by_request_do_not_scale(self, made):
        """There is nothing to scale."""
        assert not made.of_type("AWS::ApplicationAutoScaling::ScalableTarget")

    def test_a_key_of_ones_own_is_usable_through_dynamodb_alone(self, synthesize):
        """So that no role needs a grant on it."""
        made = synthesize("feature-42", cmk="true")
        [(name, key)] = made.of_type("AWS::KMS::Key").items()
        [_, through] = key["Properties"]["KeyPolicy"]["Statement"]

        assert key["Properties"]["EnableKeyRotation"] is True
        assert set(through["Condition"]["StringEquals"]) == {"kms:CallerAccount", "kms:ViaService"}
        for table in made.of_type(TABLE).values():
            assert name in references(table["Properties"]["SSESpecification"])


class TestFunctions:
    def test_there_is_one_for_each_operation(self, env, made):
        """Named after its entry, with hyphens."""
        names = {it["Properties"]["FunctionName"] for it in made.of_type(FUNCTION).values()}

        assert names == {f"inventory-{env}-{it.replace('_', '-')}" for it in OPERATIONS}

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_it_calls_its_entry(self, made, operation):
        """On the Python that the bundle is for; and the entry exists."""
        function = function_of(made, operation)

        assert function["Handler"] == f"inventory_adapters.lambda_entry.{operation}"
        assert function["Runtime"] == "python3.11"
        assert callable(getattr(lambda_entry, operation))

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_its_size(self, env, made, operation):
        """As measured for the first five; the others have what is usual."""
        function = function_of(made, operation)
        seconds, megabytes, reserved = SIZES.get(operation, (10, 256, None))

        assert (function["Timeout"], function["MemorySize"]) == (seconds, megabytes)
        assert function.get("ReservedConcurrentExecutions") == (reserved if env == "prod" else None)

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_its_environment(self, env, made, operation):
        """The variables that the entry reads, and the name of the environment for people."""
        variables = function_of(made, operation)["Environment"]["Variables"]
        parameter = made.named("AWS::SSM::Parameter", "Name", f"/inventory/{env}/config")

        assert variables == {
            "TABLE_NAME": {"Ref": made.named(TABLE, "TableName", f"inventory-{env}")},
            "LEDGER_TABLE_NAME": {"Ref": made.named(TABLE, "TableName", f"inventory-{env}-ledger")},
            "ENVIRONMENT": env,
            "CONFIG_PARAMETER": {"Ref": parameter},
            "LOG_LEVEL": "INFO" if env == "prod" else "DEBUG",
            "ALLOWED_ORIGINS": "https://shop.example.com" if env == "prod" else "*",
            "TRANSPORT": "http",
        }
        assert set(variables) == {*Config.names(), "ENVIRONMENT"}

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_it_is_traced_and_logs_json_to_its_own_group(self, env, made, operation):
        """The group is the stack's: one that Lambda makes is kept for ever."""
        function = function_of(made, operation)
        group = made.named(LOG_GROUP, "LogGroupName", f"/aws/lambda/{function['FunctionName']}")

        assert function["TracingConfig"] == {"Mode": "Active"}
        assert function["LoggingConfig"] == {"LogFormat": "JSON", "LogGroup": {"Ref": group}}

    def test_all_share_one_bundle(self, made):
        """One upload, one folder."""
        codes = {json.dumps(it["Properties"]["Code"]) for it in made.of_type(FUNCTION).values()}

        assert len(codes) == 1

    def test_the_context_can_change_runtime_and_memory(self, synthesize):
        """For every function alike."""
        made = synthesize("feature-42", runtime="3.13", memory="1024")

        for function in made.of_type(FUNCTION).values():
            assert function["Properties"]["Runtime"] == "python3.13"
            assert function["Properties"]["MemorySize"] == 1024

    def test_a_function_can_have_a_concurrency_of_its_own(self, synthesize):
        """Also where the others reserve none."""
        made = synthesize("prod", concurrency="create-item=40,get-item=none")
        small = synthesize("prod", reservedConcurrency="none", concurrency="create-item=40")

        def reserved(of, operation):
            return function_of(of, operation).get("ReservedConcurrentExecutions")

        assert [reserved(made, it) for it in ("create_item", "get_item", "list_items")] == [
            *(40, None, 15)
        ]
        assert [reserved(small, it) for it in ("create_item", "get_item")] == [40, None]

    def test_a_small_account_can_do_without_reserved_concurrency(self, synthesize):
        """Its quota may be 10."""
        made = synthesize("prod", reservedConcurrency="none")

        for function in made.of_type(FUNCTION).values():
            assert "ReservedConcurrentExecutions" not in function["Properties"]


class TestLogs:
    def test_logs_are_kept_for_a_week_in_dev_and_a_month_elsewhere(self, env, made):
        """None for ever."""
        for group in made.of_type(LOG_GROUP).values():
            assert group["Properties"]["RetentionInDays"] == (7 if env == "dev" else 30)

    def test_how_long_they_are_kept_is_a_setting(self):
        """Whatever CloudWatch knows, in days."""
        stack = cdk.Stack(cdk.App(), "Stack")
        for days in LOG_RETENTION_DAYS:
            kept = LogKeeping(retention_days=days, removal=cdk.RemovalPolicy.DESTROY)
            kept.group(stack, f"for-{days}", f"for-{days}")

        groups = Template.from_stack(stack).find_resources(LOG_GROUP).values()
        assert {
            it["Properties"]["LogGroupName"]: it["Properties"]["RetentionInDays"] for it in groups
        } == {f"for-{days}": days for days in LOG_RETENTION_DAYS}

    def test_they_can_be_encrypted_with_a_key_of_the_account(self, synthesize, prod):
        """All of them."""
        key = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
        made = synthesize("prod", logKey=key, logRetention="400")

        for group in made.of_type(LOG_GROUP).values():
            assert group["Properties"]["KmsKeyId"] == key
            assert group["Properties"]["RetentionInDays"] == 400
        assert not any("KmsKeyId" in it["Properties"] for it in prod.of_type(LOG_GROUP).values())

    def test_only_prod_keeps_its_logs_and_none_survives_a_failed_creation(self, env, made):
        """A group left behind has the name that the next deployment needs."""
        for group in made.of_type(LOG_GROUP).values():
            kept = "RetainExceptOnCreate" if env == "prod" else "Delete"
            assert group["DeletionPolicy"] == kept

    def test_every_function_and_the_gateway_have_a_group(self, env, made):
        """The gateway has two: of who called, and of what it did."""
        names = [it["Properties"]["LogGroupName"] for it in made.of_type(LOG_GROUP).values()]
        plain = {name for name in names if isinstance(name, str)}
        [execution] = [name for name in names if not isinstance(name, str)]

        assert plain == {
            f"/aws/apigateway/inventory-{env}",
            *(f"/aws/lambda/inventory-{env}-{it.replace('_', '-')}" for it in OPERATIONS),
        }
        assert execution["Fn::Join"][1][0] == "API-Gateway-Execution-Logs_"
        assert execution["Fn::Join"][1][-1] == f"/{env}"


class TestRoles:
    def statements(self, made, operation):
        [role] = references(function_of(made, operation)["Role"])
        [policy] = [
            it["Properties"]
            for it in made.of_type(STATEMENTS).values()
            if {"Ref": role} in it["Properties"]["Roles"]
        ]
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            actions, resources = statement["Action"], statement["Resource"]
            for action in [actions] if isinstance(actions, str) else actions:
                for resource in resources if isinstance(resources, list) else [resources]:
                    yield action, resource

    def test_every_function_has_one_of_its_own(self, made):
        """Without a policy that AWS, or anybody else, may widen."""
        roles = [
            role
            for it in made.of_type(FUNCTION).values()
            for role in references(it["Properties"]["Role"])
        ]

        assert len(set(roles)) == len(roles)
        for role in roles:
            assert "ManagedPolicyArns" not in made.template["Resources"][role]["Properties"]

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_it_may_do_what_the_operation_needs(self, env, made, operation):
        """On the very tables and indexes, and the very log group and parameter."""
        items = made.named(TABLE, "TableName", f"inventory-{env}")
        ledger = made.named(TABLE, "TableName", f"inventory-{env}-ledger")
        function = function_of(made, operation)["FunctionName"]
        group = made.named(LOG_GROUP, "LogGroupName", f"/aws/lambda/{function}")
        parameter = made.named("AWS::SSM::Parameter", "Name", f"/inventory/{env}/config")
        needs = NEEDS[operation]
        table_of = dict.fromkeys(ITEMS.indexes, items) | dict.fromkeys(LEDGER.indexes, ledger)

        expected = {
            *((f"dynamodb:{action}", (items, "")) for action in needs.items),
            *((f"dynamodb:{action}", (ledger, "")) for action in needs.ledger),
            *(("dynamodb:Query", (table_of[it], f"/index/{it.name}")) for it in needs.queried),
            ("logs:CreateLogStream", (group, "")),
            ("logs:PutLogEvents", (group, "")),
            ("xray:PutTraceSegments", "*"),
            ("xray:PutTelemetryRecords", "*"),
        }
        if needs.limits:
            expected.add(("ssm:GetParameter", parameter))
        if operation in {it.name for it in SCHEDULED}:
            [queue] = made.of_type("AWS::SQS::Queue")
            expected |= {
                (f"sqs:{it}", (queue, ""))
                for it in ("GetQueueAttributes", "GetQueueUrl", "SendMessage")
            }

        assert {
            (action, self.plain(it)) for action, it in self.statements(made, operation)
        } == expected

    def plain(self, resource):
        """Shorten a resource: the logical id of what has the ARN, and what follows it."""
        if resource == "*":
            return "*"
        if "Fn::GetAtt" in resource:
            return resource["Fn::GetAtt"][0], ""
        parts = resource["Fn::Join"][1]
        [found] = [it for it in references(parts) if not it.startswith("AWS::")]
        return found if ":parameter" in json.dumps(parts) else (found, parts[-1])

    def test_nothing_but_x_ray_has_a_wildcard(self, made):
        """In no policy of the stack."""
        for policy in made.of_type(STATEMENTS).values():
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                if "*" in json.dumps([statement["Action"], statement["Resource"]]):
                    assert set(statement["Action"]) == {
                        "xray:PutTraceSegments",
                        "xray:PutTelemetryRecords",
                    }

    def test_only_those_who_list_read_a_parameter(self, made):
        """Page limits are all there is to read."""
        readers = {
            operation
            for operation in OPERATIONS
            if "ssm:GetParameter" in dict(self.statements(made, operation))
        }

        assert readers == {name for name in OPERATIONS if name.startswith("list_")}


class TestParameters:
    def test_the_table_name(self, env, made):
        """For whoever wants to find the table."""
        parameter = made.properties("AWS::SSM::Parameter", Name=f"/inventory/{env}/table-name")

        assert parameter["Value"] == {"Ref": made.named(TABLE, "TableName", f"inventory-{env}")}
        assert parameter["Type"] == "String"

    def test_the_page_limits(self, env, made):
        """As the functions read them."""
        parameter = made.properties("AWS::SSM::Parameter", Name=f"/inventory/{env}/config")

        assert json.loads(parameter["Value"]) == {"max_items_per_page": 50, "default_page_size": 20}


class TestStack:
    def test_outputs_and_exports(self, env, made):
        """These three and no other."""
        outputs = made.template["Outputs"]

        assert {name: it["Export"]["Name"] for name, it in outputs.items()} == {
            "ApiEndpoint": f"InventoryApi-{env}-Endpoint",
            "TableName": f"InventoryApi-{env}-TableName",
            "EnvironmentName": f"InventoryApi-{env}-Environment",
        }
        assert outputs["EnvironmentName"]["Value"] == env
        [api] = made.of_type("AWS::ApiGateway::RestApi")
        assert api in references(outputs["ApiEndpoint"]["Value"])
        assert outputs["TableName"]["Value"] == {
            "Ref": made.named(TABLE, "TableName", f"inventory-{env}")
        }

    def test_attributes(self, env, made):
        """What other stacks take from it."""
        assert made.stack.environment_suffix == env
        assert (
            made.stack.resolve(made.stack.table.table_name)
            == made.template["Outputs"]["TableName"]["Value"]
        )
        assert (
            made.stack.resolve(made.stack.api_endpoint)
            == made.template["Outputs"]["ApiEndpoint"]["Value"]
        )

    def test_everything_that_takes_tags_has_ours(self, env, made):
        """So that costs can be told apart."""
        tagged = [
            it["Properties"]["Tags"]
            for it in made.template["Resources"].values()
            if "Tags" in it["Properties"]
        ]

        assert len(tagged) > len(OPERATIONS) * 2
        for tags in tagged:
            listed = tags if isinstance(tags, dict) else {it["Key"]: it["Value"] for it in tags}
            assert listed == {**TAGS, "Environment": env}

    def test_only_prod_is_protected_from_deletion(self, env, made):
        """One call must not take it away."""
        assert made.stack.termination_protection is (env == "prod")

    def test_it_is_described(self, env, made):
        """In the list of stacks."""
        assert made.template["Description"].endswith(f"({env})")

    def test_no_name_is_longer_than_aws_takes(self, synthesize):
        """Not even with the longest suffix."""
        made = synthesize("a" * 20)

        for function in made.of_type(FUNCTION).values():
            assert len(function["Properties"]["FunctionName"]) <= 64

    def test_the_same_context_makes_the_same_template(self, tmp_path, prod):
        """A deployment without a change changes nothing."""
        from deploy.app import make_app

        context = {
            "environmentSuffix": "prod",
            "stubBundle": "true",
            "allowedOrigins": "https://shop.example.com",
        }
        app = make_app(context, outdir=str(tmp_path), check_templates=False)

        assert app.synth().get_stack_by_name("TapStackprod").template == prod.template

    def test_nothing_in_the_template_tells_of_this_machine(self, made):
        """Neither paths nor times."""
        assert not re.search(r"/(home|root|tmp|Users|work)/", json.dumps(made.template))


class TestProps:
    def synth(self, props=None, context=None, **stack):
        app = cdk.App(context=context, builtin_cloud_formation_validation=False)
        made = TapStack(app, "Stack", props, **stack)
        return made, app.synth().get_stack_by_name("Stack")

    def test_the_suffix_comes_from_the_props_first(self):
        """They say what a program wants; the context, what its caller does."""
        props = TapStackProps(environment_suffix="one")

        made, _ = self.synth(props, {"environmentSuffix": "two"})

        assert made.environment_suffix == "one"

    @pytest.mark.parametrize(
        ("context", "expected"), [({"environmentSuffix": "two"}, "two"), ({}, "dev")]
    )
    def test_then_from_the_context_and_else_it_is_dev(self, context, expected):
        """Also where there are no props at all."""
        made, _ = self.synth(None, context)

        assert made.environment_suffix == expected

    @pytest.mark.parametrize("suffix", ["", "Prod", "x_y"])
    def test_a_suffix_that_names_nothing_is_refused(self, suffix):
        """An empty one is not taken for dev: it may have been meant for prod."""
        with pytest.raises(SettingsError):
            self.synth(TapStackProps(environment_suffix=suffix))

    def test_env_and_what_a_stack_takes_reach_the_stack(self):
        """The account and region too."""
        env = cdk.Environment(account="123456789012", region="eu-west-1")

        made, artifact = self.synth(TapStackProps(env=env), description="Ours")

        assert (made.account, made.region) == ("123456789012", "eu-west-1")
        assert artifact.template["Description"] == "Ours"

    def test_without_a_bundle_the_command_line_refuses_to_deploy(self):
        """The template can be looked at all the same."""
        _, artifact = self.synth()

        [message] = [it for it in artifact.messages if it.level.name == "ERROR"]
        assert "no bundle" in str(message.entry.data)

    def test_a_stub_can_be_asked_for(self):
        """Then nobody complains."""
        _, artifact = self.synth(None, {"stubBundle": "true"})

        assert not artifact.messages

    def test_a_bundle_is_what_the_functions_hold(self, tmp_path):
        """Its content names it."""
        (tmp_path / "code.py").write_text("pass")

        _, artifact = self.synth(TapStackProps(bundle=tmp_path))
        _, stub = self.synth(None, {"stubBundle": "true"})

        def keys(it):
            return set(re.findall(r"[0-9a-f]{64}\.zip", json.dumps(it.template)))

        assert len(keys(artifact)) == 1
        assert keys(artifact) != keys(stub)


def test_a_new_route_gets_all_that_a_route_has(monkeypatch):
    """One row in the route table, and one in the grants."""
    command = ROUTES[0].command
    route = type(ROUTES[0])("POST", "/sheep/{sku}", command, count_sheep, 200, ROUTES[0].answer)
    monkeypatch.setattr(stack_module, "ROUTES", (*ROUTES, route))
    monkeypatch.setitem(NEEDS, "count_sheep", Needs(items={"GetItem"}))
    app = cdk.App(context={"stubBundle": "true"}, builtin_cloud_formation_validation=False)
    TapStack(app, "Stack")

    template = app.synth().get_stack_by_name("Stack").template

    kinds = {}
    for it in template["Resources"].values():
        if "sheep" in json.dumps(it).lower():
            kinds.setdefault(it["Type"], []).append(it["Properties"])
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
    """Stand in for a use case: its name names the operation."""
