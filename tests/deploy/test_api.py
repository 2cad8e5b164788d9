import json

import httpx
import pytest

from deploy.api import GATEWAY_ANSWERS
from inventory import InventoryError, ListItems
from inventory_adapters.client import InventoryClient
from inventory_adapters.http.api_gateway import ALLOWED_HEADERS, EXPOSED_HEADERS, Cors
from inventory_adapters.http.errors import CODES
from inventory_adapters.http.routes import ROUTES

METHOD = "AWS::ApiGateway::Method"
# What the gateway answers by itself: the status where it is ours, the code, the field of `details`, Retry-After.
ANSWERS = {
    "DEFAULT_4XX": (None, "request_refused", None, None),
    "DEFAULT_5XX": ("503", "service_unavailable", None, "'1'"),
    "BAD_REQUEST_BODY": ("400", "validation_failed", "body", None),
    "BAD_REQUEST_PARAMETERS": ("400", "validation_failed", "query", None),
    "MISSING_AUTHENTICATION_TOKEN": ("404", "route_not_found", None, None),
    "RESOURCE_NOT_FOUND": ("404", "route_not_found", None, None),
    "REQUEST_TOO_LARGE": ("413", "payload_too_large", None, None),
    "UNAUTHORIZED": ("401", "unauthorized", None, None),
    "INVALID_API_KEY": ("403", "forbidden", None, None),
    "ACCESS_DENIED": ("403", "forbidden", None, None),
    "EXPIRED_TOKEN": ("403", "forbidden", None, None),
    "INVALID_SIGNATURE": ("403", "forbidden", None, None),
    "WAF_FILTERED": ("403", "forbidden", None, None),
    "THROTTLED": ("429", "too_many_requests", None, "'1'"),
    "QUOTA_EXCEEDED": ("429", "quota_exceeded", None, None),
    "INTEGRATION_TIMEOUT": ("504", "timeout", None, None),
}
ORIGIN = "method.response.header.Access-Control-Allow-Origin"


def path_of(made, resource_id):
    resource = made.template["Resources"].get(resource_id["Ref"]) if "Ref" in resource_id else None
    if resource is None:
        return ""
    properties = resource["Properties"]
    return f"{path_of(made, properties['ParentId'])}/{properties['PathPart']}"


def methods(made):
    """Every method but the preflights, by what it answers."""
    return {
        (it["Properties"]["HttpMethod"], path_of(made, it["Properties"]["ResourceId"])): it[
            "Properties"
        ]
        for it in made.of_type(METHOD).values()
        if it["Properties"]["HttpMethod"] != "OPTIONS"
    }


def preflights(made):
    return {
        path_of(made, it["Properties"]["ResourceId"]): it["Properties"]
        for it in made.of_type(METHOD).values()
        if it["Properties"]["HttpMethod"] == "OPTIONS"
    }


def stage(made):
    [found] = made.of_type("AWS::ApiGateway::Stage").values()
    return found["Properties"]


class TestGateway:
    def test_its_name_and_kind(self, env, made):
        """Regional: a client's region is the API's."""
        [api] = made.of_type("AWS::ApiGateway::RestApi").values()

        assert api["Properties"]["Name"] == f"inventory-api-{env}"
        assert api["Properties"]["EndpointConfiguration"] == {"Types": ["REGIONAL"]}

    def test_its_stage(self, env, made):
        """Named after the environment; limited, logged, measured and traced."""
        [settings] = stage(made)["MethodSettings"]

        assert stage(made)["StageName"] == env
        assert stage(made)["TracingEnabled"] is True
        assert settings == {
            "HttpMethod": "*",
            "ResourcePath": "/*",
            "ThrottlingRateLimit": 10_000,
            "ThrottlingBurstLimit": 5_000,
            "LoggingLevel": "INFO",
            "MetricsEnabled": True,
            "DataTraceEnabled": env != "prod",
        }

    def test_tracing_of_data_is_a_setting(self, synthesize):
        """Bodies hold what is personal."""
        made = synthesize("feature-42", dataTrace="false")
        [settings] = stage(made)["MethodSettings"]

        assert settings["DataTraceEnabled"] is False

    def test_its_access_log(self, env, made):
        """One line of JSON for each request."""
        log = stage(made)["AccessLogSetting"]
        group = made.named(
            "AWS::Logs::LogGroup", "LogGroupName", f"/aws/apigateway/inventory-{env}"
        )

        assert group in json.dumps(log["DestinationArn"])
        assert json.loads(log["Format"]) == {
            "requestId": "$context.requestId",
            "caller": "$context.identity.caller",
            "httpMethod": "$context.httpMethod",
            "ip": "$context.identity.sourceIp",
            "protocol": "$context.protocol",
            "requestTime": "$context.requestTime",
            "resourcePath": "$context.resourcePath",
            "responseLength": "$context.responseLength",
            "status": "$context.status",
            "user": "$context.identity.user",
        }

    def test_the_role_it_logs_with_is_not_ours_to_set(self, made):
        """There is one for all the APIs of a region."""
        assert not made.of_type("AWS::ApiGateway::Account")

    def test_a_first_stack_of_a_region_can_set_it_and_leaves_it_behind(self, synthesize):
        """Other APIs may log with it by then."""
        made = synthesize("feature-42", gatewayLogRole="true")
        [account] = made.of_type("AWS::ApiGateway::Account").values()
        role = account["Properties"]["CloudWatchRoleArn"]["Fn::GetAtt"][0]

        assert account["DeletionPolicy"] == "Retain"
        assert made.template["Resources"][role]["DeletionPolicy"] == "Retain"


class TestMethods:
    def test_there_is_one_for_each_route(self, made):
        """And none beside."""
        assert set(methods(made)) == {(route.method, route.path) for route in ROUTES}

    @pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
    def test_it_calls_the_function_of_its_route(self, env, made, route):
        """Which it alone may call so."""
        method = methods(made)[route.method, route.path]
        name = f"inventory-{env}-{route.name.replace('_', '-')}"
        function = made.named("AWS::Lambda::Function", "FunctionName", name)
        permissions = [
            it["Properties"]["SourceArn"]["Fn::Join"][1][-1]
            for it in made.of_type("AWS::Lambda::Permission").values()
            if function in json.dumps(it["Properties"]["FunctionName"])
        ]

        assert method["Integration"]["Type"] == "AWS_PROXY"
        assert method["Integration"]["TimeoutInMillis"] == 29_000
        assert function in json.dumps(method["Integration"]["Uri"])
        in_arn = "/".join("*" if part.startswith("{") else part for part in route.path.split("/"))
        assert permissions == [f"/{route.method}{in_arn}"]

    def test_every_method_has_a_validator_of_all_there_is(self, made):
        """Preflights too."""
        [(name, validator)] = made.of_type("AWS::ApiGateway::RequestValidator").items()

        assert validator["Properties"]["ValidateRequestBody"] is True
        assert validator["Properties"]["ValidateRequestParameters"] is True
        for method in made.of_type(METHOD).values():
            assert method["Properties"]["RequestValidatorId"] == {"Ref": name}

    @pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
    def test_a_body_has_a_model(self, made, route):
        """Where there is anything in it to check."""
        method = methods(made)[route.method, route.path]

        if route.has_body and route.sent_fields:
            model = made.template["Resources"][method["RequestModels"]["application/json"]["Ref"]]
            assert set(model["Properties"]["Schema"]["properties"]) == set(route.sent_fields)
        else:
            assert "RequestModels" not in method

    def test_models_by_name(self, made):
        """Generated clients call their types so."""
        models = {
            it["Properties"]["Name"]: it["Properties"]["Schema"]
            for it in made.of_type("AWS::ApiGateway::Model").values()
        }

        assert models["ItemModel"]["required"] == ["sku", "name", "quantity", "category"]
        assert models["UpdateItemModel"]["required"] == ["sku"]

    @pytest.mark.parametrize(
        ("method", "path", "expected"),
        [
            ("DELETE", "/items/{item_id}", {"path.item_id": True, "querystring.sku": True}),
            ("GET", "/items/{item_id}", {"path.item_id": True, "querystring.sku": False}),
        ],
    )
    def test_query_parameters_are_declared(self, made, method, path, expected):
        """Those without which there is no answer are insisted on."""
        assert methods(made)[method, path]["RequestParameters"] == {
            f"method.request.{name}": required for name, required in expected.items()
        }

    def test_the_list_takes_its_filters_and_both_names_of_the_token(self, made):
        """None of them is required."""
        parameters = methods(made)["GET", "/items"]["RequestParameters"]

        assert not any(parameters.values())
        assert {name.rpartition(".")[2] for name in parameters} == {
            "category",
            "status",
            "sku",
            "location",
            "low_stock",
            "page_size",
            "last_evaluated_key",
            "page_token",
        }

    def test_a_changed_model_is_deployed(self, prod, monkeypatch, tmp_path):
        """What is deployed is a snapshot, which has to be taken anew."""
        from deploy import api
        from deploy.app import make_app

        monkeypatch.setattr(api, "model_of", lambda route: {"type": "object", "title": route.name})
        context = {
            "environmentSuffix": "prod",
            "stubBundle": "true",
            "allowedOrigins": "https://shop.example.com",
        }
        app = make_app(context, outdir=str(tmp_path), check_templates=False)
        resources = app.synth().get_stack_by_name("TapStackprod").template["Resources"]

        [before] = prod.of_type("AWS::ApiGateway::Deployment")
        assert before not in resources


class TestAccess:
    def test_prod_asks_for_a_key_and_counts(self, prod):
        """10,000 a second, 5,000 at once, a million a month."""
        [key] = prod.of_type("AWS::ApiGateway::ApiKey").values()
        [plan] = prod.of_type("AWS::ApiGateway::UsagePlan").values()
        [link] = prod.of_type("AWS::ApiGateway::UsagePlanKey").values()

        assert all(method["ApiKeyRequired"] is True for method in methods(prod).values())
        assert key["Properties"]["Name"] == "inventory-api-key-prod"
        assert key["Properties"]["Enabled"] is True
        assert plan["Properties"]["UsagePlanName"] == "inventory-usage-plan-prod"
        assert plan["Properties"]["Throttle"] == {"RateLimit": 10_000, "BurstLimit": 5_000}
        assert plan["Properties"]["Quota"] == {"Limit": 1_000_000, "Period": "MONTH"}
        assert len(plan["Properties"]["ApiStages"]) == 1
        assert link["Properties"]["KeyType"] == "API_KEY"

    @pytest.mark.parametrize(
        ("said", "quota"),
        [("3000000", {"Limit": 3_000_000, "Period": "MONTH"}), ("none", None)],
    )
    def test_how_much_a_month_is_a_setting(self, synthesize, said, quota):
        """Without a quota the throttle stays."""
        made = synthesize("prod", monthlyRequests=said)
        [plan] = made.of_type("AWS::ApiGateway::UsagePlan").values()

        assert plan["Properties"].get("Quota") == quota
        assert plan["Properties"]["Throttle"] == {"RateLimit": 10_000, "BurstLimit": 5_000}

    def test_an_address_of_its_own_is_a_setting(self, synthesize, prod):
        """It outlives the API, whose own address changes when the stack is made anew."""
        certificate = (
            "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
        )
        made = synthesize("prod", domainName="stock.example.com", certificateArn=certificate)
        [(name, domain)] = made.of_type("AWS::ApiGateway::DomainName").items()
        [mapping] = made.of_type("AWS::ApiGateway::BasePathMapping").values()
        [of_stage] = made.of_type("AWS::ApiGateway::Stage")

        assert domain["Properties"]["DomainName"] == "stock.example.com"
        assert domain["Properties"]["RegionalCertificateArn"] == certificate
        assert domain["Properties"]["SecurityPolicy"] == "TLS_1_2"
        assert domain["Properties"]["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
        assert mapping["Properties"]["DomainName"] == {"Ref": name}
        assert mapping["Properties"]["Stage"] == {"Ref": of_stage}
        assert "BasePath" not in mapping["Properties"]
        assert made.template["Outputs"]["ApiEndpoint"]["Value"] == "https://stock.example.com/"
        assert not prod.of_type("AWS::ApiGateway::DomainName")

    def test_a_preflight_is_never_asked_for_one(self, prod):
        """A browser sends it without."""
        for method in preflights(prod).values():
            assert method["ApiKeyRequired"] is False
            assert method["AuthorizationType"] == "NONE"

    @pytest.mark.parametrize("suffix", ["dev", "feature-42"])
    def test_elsewhere_nobody_is_asked(self, synthesize, suffix):
        """To try things out."""
        made = synthesize(suffix)

        assert not any(method["ApiKeyRequired"] for method in methods(made).values())
        assert not made.of_type("AWS::ApiGateway::ApiKey")
        assert not made.of_type("AWS::ApiGateway::UsagePlan")

    def test_callers_can_be_aws_principals(self, synthesize):
        """Then there is no key."""
        made = synthesize("prod", auth="iam")

        assert {it["AuthorizationType"] for it in methods(made).values()} == {"AWS_IAM"}
        assert not made.of_type("AWS::ApiGateway::ApiKey")

    def test_callers_can_be_users_of_a_pool(self, synthesize):
        """An existing one: users outlive this stack."""
        pool = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_abc"

        made = synthesize("prod", auth="cognito", userPoolArn=pool)

        [(name, authorizer)] = made.of_type("AWS::ApiGateway::Authorizer").items()
        assert authorizer["Properties"]["ProviderARNs"] == [pool]
        for method in methods(made).values():
            assert method["AuthorizationType"] == "COGNITO_USER_POOLS"
            assert method["AuthorizerId"] == {"Ref": name}


class TestCors:
    @pytest.fixture
    def two(self, synthesize):
        return synthesize("prod", allowedOrigins="https://a.example,https://b.example")

    def test_every_path_answers_a_preflight(self, made):
        """In the browser's place the gateway says what may be asked."""
        assert {route.path for route in ROUTES} <= set(preflights(made))

    def test_what_a_preflight_says(self, env, made):
        """Our own headers, too, and for five minutes."""
        for method in preflights(made).values():
            [response] = method["Integration"]["IntegrationResponses"]
            said = {
                name.removeprefix("method.response.header."): value.strip("'")
                for name, value in response["ResponseParameters"].items()
            }
            assert said["Access-Control-Allow-Methods"] == "GET,POST,PUT,DELETE,OPTIONS"
            assert said["Access-Control-Allow-Headers"] == ",".join(ALLOWED_HEADERS)
            assert said["Access-Control-Max-Age"] == "300"
            assert said["Access-Control-Allow-Origin"] == (
                "https://shop.example.com" if env == "prod" else "*"
            )
            assert said["Access-Control-Expose-Headers"] == ",".join(EXPOSED_HEADERS)

    def test_our_headers_are_among_the_allowed_ones(self):
        """Conditional and repeatable requests work from a browser."""
        assert {
            "Content-Type",
            "X-Amz-Date",
            "Authorization",
            "X-Api-Key",
            "If-Match",
            "Idempotency-Key",
        } <= set(ALLOWED_HEADERS)

    def test_of_several_origins_a_preflight_names_the_one_that_asks(self, two):
        """And the first to anybody else."""
        for method in preflights(two).values():
            [response] = method["Integration"]["IntegrationResponses"]
            assert response["ResponseParameters"][ORIGIN] == "'https://a.example'"
            assert "https://b.example" in response["ResponseTemplates"]["application/json"]

    def test_the_gateways_own_answers_can_be_read_by_the_pages_that_may(self, env, made):
        """With the headers that an answer of ours to the same page has."""
        origin = "https://shop.example.com" if env == "prod" else "*"
        ours = Cors((origin,)).headers(None if origin == "*" else origin)

        for response in made.of_type("AWS::ApiGateway::GatewayResponse").values():
            headers = response["Properties"]["ResponseParameters"]
            for name, value in ours.items():
                assert headers[f"gatewayresponse.header.{name}"] == f"'{value}'"

    def test_of_several_origins_they_name_the_one_that_asks(self, two):
        """A gateway response cannot choose."""
        for response in two.of_type("AWS::ApiGateway::GatewayResponse").values():
            headers = response["Properties"]["ResponseParameters"]
            assert headers["gatewayresponse.header.Access-Control-Allow-Origin"] == (
                "method.request.header.Origin"
            )
            assert headers["gatewayresponse.header.Vary"] == "'Origin'"


class TestGatewayAnswers:
    def answers(self, made):
        return {
            it["Properties"]["ResponseType"]: it["Properties"]
            for it in made.of_type("AWS::ApiGateway::GatewayResponse").values()
        }

    def test_they_are_these(self, made):
        """One table has each: status, code, the field of `details`, and when to retry."""
        found = {}
        for kind, answer in self.answers(made).items():
            body = json.loads(answer["ResponseTemplates"]["application/json"])
            [invalid] = [it["field"] for it in body.get("details", ())] or [None]
            retry = answer["ResponseParameters"].get("gatewayresponse.header.Retry-After")
            found[kind] = (answer.get("StatusCode"), body["code"], invalid, retry)

        assert found == ANSWERS

    def test_all_have_our_envelope(self, made):
        """A sentence for people, a code for programs, and `details` wherever the code promises them."""
        for answer in self.answers(made).values():
            body = json.loads(answer["ResponseTemplates"]["application/json"])
            assert set(body) - {"details"} == {"error", "code"}
            assert ("details" in body) is (body["code"] == "validation_failed")
            assert body["code"].replace("_", "").islower()
            # A variable may hold a quote, which a template cannot escape.
            assert "$" not in answer["ResponseTemplates"]["application/json"]

    @pytest.mark.parametrize("kind", ANSWERS)
    def test_the_client_retries_what_may_pass(self, kind):
        """A function that Lambda throttled is a 503 here, as the gateway cannot tell it from one that crashed."""
        [answer] = [it for it in GATEWAY_ANSWERS if it.kind == kind]
        responses = [
            httpx.Response(
                answer.status or 400,
                json=answer.body,
                headers={name: value.strip("'") for name, value in answer.headers.items()},
            ),
            httpx.Response(200, json={"items": [], "count": 0}),
        ]
        pauses = []
        transport = httpx.MockTransport(lambda _: responses.pop(0))
        with httpx.Client(transport=transport) as http_client:
            client = InventoryClient(
                "https://api.example.com", http_client=http_client, pause=pauses.append
            )
            if answer.status in {429, 503, 504}:
                assert client.list_items(ListItems()).items == ()
            else:
                with pytest.raises(InventoryError, match=answer.error):
                    client.list_items(ListItems())

        assert len(pauses) == (answer.status in {429, 503, 504})
        assert all(pause >= 1 for pause in pauses) or not answer.headers

    def test_all_have_the_headers_of_every_answer(self, made):
        """As a handler's."""
        for answer in self.answers(made).values():
            headers = answer["ResponseParameters"]
            assert headers["gatewayresponse.header.Cache-Control"] == "'no-store'"
            assert headers["gatewayresponse.header.X-Content-Type-Options"] == "'nosniff'"
            assert headers["gatewayresponse.header.X-Request-Id"] == "context.requestId"

    def test_an_unknown_route_is_not_found(self, made):
        """The gateway would call it a missing token, and forbidden."""
        answer = self.answers(made)["MISSING_AUTHENTICATION_TOKEN"]

        assert answer["StatusCode"] == "404"
        assert json.loads(answer["ResponseTemplates"]["application/json"])["code"] == (
            "route_not_found"
        )

    def test_a_throttled_client_is_told_when_to_come_back(self, made):
        """As when storage is what is throttled."""
        headers = self.answers(made)["THROTTLED"]["ResponseParameters"]

        assert headers["gatewayresponse.header.Retry-After"] == "'1'"

    @pytest.mark.parametrize("answer", GATEWAY_ANSWERS, ids=lambda answer: answer.kind)
    def test_a_code_that_handlers_use_has_the_same_status(self, answer):
        """One code means one thing."""
        if answer.status is not None:
            assert CODES.get(answer.code, answer.status) == answer.status


class TestFirewall:
    def test_prod_has_one(self, prod):
        """Before its stage."""
        [(name, acl)] = prod.of_type("AWS::WAFv2::WebACL").items()
        [association] = prod.of_type("AWS::WAFv2::WebACLAssociation").values()
        [(of_stage, _)] = prod.of_type("AWS::ApiGateway::Stage").items()
        rules = {rule["Name"]: rule for rule in acl["Properties"]["Rules"]}

        assert acl["Properties"]["Scope"] == "REGIONAL"
        assert association["Properties"]["WebACLArn"] == {"Fn::GetAtt": [name, "Arn"]}
        assert of_stage in json.dumps(association["Properties"]["ResourceArn"])
        assert set(rules) == {
            "RequestsPerAddress",
            "AWSManagedRulesCommonRuleSet",
            "AWSManagedRulesKnownBadInputsRuleSet",
        }
        assert sorted(rule["Priority"] for rule in rules.values()) == [0, 1, 2]

    def test_large_bodies_are_only_counted(self, prod):
        """The rule would block what is over 8 KB; a batch is."""
        [acl] = prod.of_type("AWS::WAFv2::WebACL").values()
        [common] = [it for it in acl["Properties"]["Rules"] if "Common" in it["Name"]]
        group = common["Statement"]["ManagedRuleGroupStatement"]

        assert group["RuleActionOverrides"] == [
            {"Name": "SizeRestrictions_BODY", "ActionToUse": {"Count": {}}}
        ]

    def test_one_address_may_send_so_much(self, synthesize):
        """In five minutes."""
        made = synthesize("prod", requestsPerIp="500")
        [acl] = made.of_type("AWS::WAFv2::WebACL").values()
        [limit] = [it for it in acl["Properties"]["Rules"] if it["Name"] == "RequestsPerAddress"]

        assert limit["Action"] == {"Block": {}}
        assert limit["Statement"]["RateBasedStatement"] == {
            "AggregateKeyType": "IP",
            "EvaluationWindowSec": 300,
            "Limit": 500,
        }

    def test_a_switch_decides(self, synthesize, dev):
        """It costs by the month."""
        assert not dev.of_type("AWS::WAFv2::WebACL")
        assert synthesize("feature-42", waf="true").of_type("AWS::WAFv2::WebACL")
        assert not synthesize("prod", waf="false").of_type("AWS::WAFv2::WebACL")
