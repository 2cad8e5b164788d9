import json

import httpx
import pytest

from deploy.api import GATEWAY_RESPONSES
from inventory import InventoryError, ListItems
from inventory_adapters.client import InventoryClient
from inventory_adapters.http.api_gateway import ALLOWED_HEADERS, EXPOSED_HEADERS, Cors
from inventory_adapters.http.errors import CODES
from inventory_adapters.http.routes import ROUTES
from tests.deploy.conftest import CERTIFICATE

pytestmark = pytest.mark.synth

METHOD = "AWS::ApiGateway::Method"
# The gateway's own responses: the status if it is not the default, the code, the field of `details`, Retry-After.
RESPONSES = {
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


def path_of(synthesized, resource_id):
    resource = (
        synthesized.template["Resources"].get(resource_id["Ref"]) if "Ref" in resource_id else None
    )
    if resource is None:
        return ""
    properties = resource["Properties"]
    return f"{path_of(synthesized, properties['ParentId'])}/{properties['PathPart']}"


def all_methods(synthesized):
    return [resource["Properties"] for resource in synthesized.of_type(METHOD).values()]


def methods(synthesized):
    """Return the properties of all methods except preflights, by HTTP method and path."""
    return {
        (method["HttpMethod"], path_of(synthesized, method["ResourceId"])): method
        for method in all_methods(synthesized)
        if method["HttpMethod"] != "OPTIONS"
    }


def preflights(synthesized):
    return {
        path_of(synthesized, method["ResourceId"]): method
        for method in all_methods(synthesized)
        if method["HttpMethod"] == "OPTIONS"
    }


def stage(synthesized):
    [resource] = synthesized.of_type("AWS::ApiGateway::Stage").values()
    return resource["Properties"]


class TestGateway:
    def test_api_is_regional_and_has_its_name(self, env, synthesized):
        """Clients call the API in its region."""
        [api] = synthesized.of_type("AWS::ApiGateway::RestApi").values()

        assert api["Properties"]["Name"] == f"inventory-api-{env}"
        assert api["Properties"]["EndpointConfiguration"] == {"Types": ["REGIONAL"]}

    def test_stage_is_throttled_logged_measured_and_traced(self, env, synthesized):
        """The stage has the name of the environment."""
        [settings] = stage(synthesized)["MethodSettings"]

        assert stage(synthesized)["StageName"] == env
        assert stage(synthesized)["TracingEnabled"] is True
        assert settings == {
            "HttpMethod": "*",
            "ResourcePath": "/*",
            "ThrottlingRateLimit": 10_000,
            "ThrottlingBurstLimit": 5_000,
            "LoggingLevel": "INFO",
            "MetricsEnabled": True,
            "DataTraceEnabled": env != "prod",
        }

    def test_data_tracing_is_a_setting(self, customized_preview):
        """Bodies may contain personal data."""
        [settings] = stage(customized_preview)["MethodSettings"]

        assert settings["DataTraceEnabled"] is False

    def test_access_log_has_a_json_line_per_request(self, env, synthesized):
        """The lines have the standard fields."""
        log = stage(synthesized)["AccessLogSetting"]
        group = synthesized.named(
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

    def test_log_role_of_the_gateway_is_not_set_by_default(self, synthesized):
        """All APIs of an account and region share the role."""
        assert not synthesized.of_type("AWS::ApiGateway::Account")

    def test_log_role_of_the_gateway_can_be_set_and_is_retained(self, customized_preview):
        """Other APIs may use the role when the stack is deleted."""
        [account] = customized_preview.of_type("AWS::ApiGateway::Account").values()
        role = account["Properties"]["CloudWatchRoleArn"]["Fn::GetAtt"][0]

        assert account["DeletionPolicy"] == "Retain"
        assert customized_preview.template["Resources"][role]["DeletionPolicy"] == "Retain"


class TestMethods:
    def test_each_route_has_a_method(self, synthesized):
        """There are no other methods."""
        assert set(methods(synthesized)) == {(route.method, route.path) for route in ROUTES}

    @pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
    def test_method_invokes_the_function_of_its_route(self, env, synthesized, route):
        """Only this method has the permission to invoke it."""
        method = methods(synthesized)[route.method, route.path]
        name = f"inventory-{env}-{route.name.replace('_', '-')}"
        function = synthesized.named("AWS::Lambda::Function", "FunctionName", name)
        permissions = [
            permission["Properties"]["SourceArn"]["Fn::Join"][1][-1]
            for permission in synthesized.of_type("AWS::Lambda::Permission").values()
            if function in json.dumps(permission["Properties"]["FunctionName"])
        ]

        assert method["Integration"]["Type"] == "AWS_PROXY"
        assert method["Integration"]["TimeoutInMillis"] == 29_000
        assert function in json.dumps(method["Integration"]["Uri"])
        in_arn = "/".join("*" if part.startswith("{") else part for part in route.path.split("/"))
        assert permissions == [f"/{route.method}{in_arn}"]

    def test_every_method_has_a_validator_of_body_and_parameters(self, synthesized):
        """Preflights have it, too."""
        [(name, validator)] = synthesized.of_type("AWS::ApiGateway::RequestValidator").items()

        assert validator["Properties"]["ValidateRequestBody"] is True
        assert validator["Properties"]["ValidateRequestParameters"] is True
        for method in synthesized.of_type(METHOD).values():
            assert method["Properties"]["RequestValidatorId"] == {"Ref": name}

    @pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
    def test_body_has_a_model(self, synthesized, route):
        """A method whose requests need no body has no model, or the gateway would reject those without one."""
        method = methods(synthesized)[route.method, route.path]

        if route.requires_body:
            model = synthesized.template["Resources"][
                method["RequestModels"]["application/json"]["Ref"]
            ]
            assert set(model["Properties"]["Schema"]["properties"]) == set(route.sent_fields)
        else:
            assert "RequestModels" not in method

    def test_models_have_stable_names(self, synthesized):
        """Generated clients use them as names of types."""
        models = {
            model["Properties"]["Name"]: model["Properties"]["Schema"]
            for model in synthesized.of_type("AWS::ApiGateway::Model").values()
        }

        assert models["ItemModel"]["required"] == ["sku", "name", "quantity", "category"]
        assert models["UpdateItemModel"]["required"] == ["sku"]

    @pytest.mark.parametrize(
        ("method", "path", "expected"),
        [
            ("DELETE", "/items/{item_id}", {"path.item_id": True, "querystring.sku": True}),
            (
                "GET",
                "/items/{item_id}",
                {"path.item_id": True, "querystring.sku": False, "querystring.at": False},
            ),
        ],
    )
    def test_query_parameters_are_declared(self, synthesized, method, path, expected):
        """Required parameters are marked as required."""
        assert methods(synthesized)[method, path]["RequestParameters"] == {
            f"method.request.{name}": required for name, required in expected.items()
        }

    def test_list_has_its_filters_and_both_names_of_the_token(self, synthesized):
        """None of the parameters is required."""
        parameters = methods(synthesized)["GET", "/items"]["RequestParameters"]

        assert not any(parameters.values())
        assert {name.rpartition(".")[2] for name in parameters} == {
            "category",
            "status",
            "sku",
            "location",
            "low_stock",
            "search",
            "page_size",
            "last_evaluated_key",
            "page_token",
        }

    def test_changed_model_makes_a_new_deployment(self, prod, monkeypatch, tmp_path):
        """A deployment is a snapshot of the API."""
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
    def test_prod_requires_a_key_with_limits(self, prod):
        """The usage plan allows 10,000 requests per second, bursts of 5,000, and 1,000,000 a month."""
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
        ("fixture", "quota"),
        [
            ("customized_prod", {"Limit": 3_000_000, "Period": "MONTH"}),
            ("minimal_prod", None),
        ],
    )
    def test_monthly_quota_is_a_setting(self, request, fixture, quota):
        """Without a quota the throttle remains."""
        [plan] = request.getfixturevalue(fixture).of_type("AWS::ApiGateway::UsagePlan").values()

        assert plan["Properties"].get("Quota") == quota
        assert plan["Properties"]["Throttle"] == {"RateLimit": 10_000, "BurstLimit": 5_000}

    def test_custom_domain_is_a_setting(self, customized_prod, prod):
        """Clients keep the URL when the API is created again."""
        [(name, domain)] = customized_prod.of_type("AWS::ApiGateway::DomainName").items()
        [mapping] = customized_prod.of_type("AWS::ApiGateway::BasePathMapping").values()
        [stage_id] = customized_prod.of_type("AWS::ApiGateway::Stage")

        assert domain["Properties"]["DomainName"] == "stock.example.com"
        assert domain["Properties"]["RegionalCertificateArn"] == CERTIFICATE
        assert domain["Properties"]["SecurityPolicy"] == "TLS_1_2"
        assert domain["Properties"]["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
        assert mapping["Properties"]["DomainName"] == {"Ref": name}
        assert mapping["Properties"]["Stage"] == {"Ref": stage_id}
        assert "BasePath" not in mapping["Properties"]
        assert (
            customized_prod.template["Outputs"]["ApiEndpoint"]["Value"]
            == "https://stock.example.com/"
        )
        assert not prod.of_type("AWS::ApiGateway::DomainName")

    def test_preflight_requires_no_key(self, prod):
        """Browsers send preflights without credentials."""
        for method in preflights(prod).values():
            assert method["ApiKeyRequired"] is False
            assert method["AuthorizationType"] == "NONE"

    @pytest.mark.parametrize("suffix", ["dev", "feature-42"])
    def test_dev_and_preview_require_no_key(self, synthesize, suffix):
        """These environments are for experiments."""
        synthesized = synthesize(suffix)

        assert not any(method["ApiKeyRequired"] for method in methods(synthesized).values())
        assert not synthesized.of_type("AWS::ApiGateway::ApiKey")
        assert not synthesized.of_type("AWS::ApiGateway::UsagePlan")

    def test_iam_authorization_is_a_setting(self, synthesize):
        """It replaces the API key."""
        synthesized = synthesize("prod", auth="iam")

        assert {method["AuthorizationType"] for method in methods(synthesized).values()} == {
            "AWS_IAM"
        }
        assert not synthesized.of_type("AWS::ApiGateway::ApiKey")

    def test_cognito_authorization_is_a_setting(self, synthesize):
        """The user pool exists already, because users outlive the stack."""
        pool = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_abc"

        synthesized = synthesize("prod", auth="cognito", userPoolArn=pool)

        [(name, authorizer)] = synthesized.of_type("AWS::ApiGateway::Authorizer").items()
        assert authorizer["Properties"]["ProviderARNs"] == [pool]
        for method in methods(synthesized).values():
            assert method["AuthorizationType"] == "COGNITO_USER_POOLS"
            assert method["AuthorizerId"] == {"Ref": name}


class TestCors:
    @pytest.fixture
    def two_origins(self, synthesize):
        return synthesize("prod", allowedOrigins="https://a.example,https://b.example")

    def test_every_path_has_a_preflight(self, synthesized):
        """The gateway responds to preflights without a function."""
        assert {route.path for route in ROUTES} <= set(preflights(synthesized))

    def test_preflight_allows_methods_headers_and_origin(self, env, synthesized):
        """Browsers may cache the response for five minutes."""
        for method in preflights(synthesized).values():
            [response] = method["Integration"]["IntegrationResponses"]
            headers = {
                name.removeprefix("method.response.header."): value.strip("'")
                for name, value in response["ResponseParameters"].items()
            }
            assert headers["Access-Control-Allow-Methods"] == "GET,POST,PUT,DELETE,OPTIONS"
            assert headers["Access-Control-Allow-Headers"] == ",".join(ALLOWED_HEADERS)
            assert headers["Access-Control-Max-Age"] == "300"
            assert headers["Access-Control-Allow-Origin"] == (
                "https://shop.example.com" if env == "prod" else "*"
            )
            assert headers["Access-Control-Expose-Headers"] == ",".join(EXPOSED_HEADERS)

    def test_request_headers_of_the_api_are_allowed(self):
        """Conditional and idempotent requests work from a browser."""
        assert {
            "Content-Type",
            "X-Amz-Date",
            "Authorization",
            "X-Api-Key",
            "If-Match",
            "Idempotency-Key",
        } <= set(ALLOWED_HEADERS)

    def test_preflight_returns_the_origin_of_the_request_if_it_is_allowed(self, two_origins):
        """For another origin it returns the first of the allowed ones."""
        for method in preflights(two_origins).values():
            [response] = method["Integration"]["IntegrationResponses"]
            assert response["ResponseParameters"][ORIGIN] == "'https://a.example'"
            assert "https://b.example" in response["ResponseTemplates"]["application/json"]

    def test_gateway_responses_have_the_cors_headers_of_handlers(self, env, synthesized):
        """Pages of an allowed origin can read the gateway's own responses."""
        origin = "https://shop.example.com" if env == "prod" else "*"
        expected = Cors((origin,)).headers(None if origin == "*" else origin)

        for response in synthesized.of_type("AWS::ApiGateway::GatewayResponse").values():
            headers = response["Properties"]["ResponseParameters"]
            for name, value in expected.items():
                assert headers[f"gatewayresponse.header.{name}"] == f"'{value}'"

    def test_gateway_responses_return_any_origin_if_several_are_allowed(self, two_origins):
        """A gateway response has no conditions."""
        for response in two_origins.of_type("AWS::ApiGateway::GatewayResponse").values():
            headers = response["Properties"]["ResponseParameters"]
            assert headers["gatewayresponse.header.Access-Control-Allow-Origin"] == (
                "method.request.header.Origin"
            )
            assert headers["gatewayresponse.header.Vary"] == "'Origin'"


class TestGatewayResponses:
    def responses(self, synthesized):
        return {
            response["Properties"]["ResponseType"]: response["Properties"]
            for response in synthesized.of_type("AWS::ApiGateway::GatewayResponse").values()
        }

    def test_all_responses_are_declared(self, synthesized):
        """The table `RESPONSES` has the status, code, field of `details` and Retry-After of each."""
        actual = {}
        for kind, response in self.responses(synthesized).items():
            body = json.loads(response["ResponseTemplates"]["application/json"])
            [invalid] = [detail["field"] for detail in body.get("details", ())] or [None]
            retry = response["ResponseParameters"].get("gatewayresponse.header.Retry-After")
            actual[kind] = (response.get("StatusCode"), body["code"], invalid, retry)

        assert actual == RESPONSES

    def test_all_responses_have_the_envelope_of_errors(self, synthesized):
        """A validation error also has `details`."""
        for response in self.responses(synthesized).values():
            body = json.loads(response["ResponseTemplates"]["application/json"])
            assert set(body) - {"details"} == {"error", "code"}
            assert ("details" in body) is (body["code"] == "validation_failed")
            assert body["code"].replace("_", "").islower()
            # The value of a variable may contain a quote, which a template cannot escape.
            assert "$" not in response["ResponseTemplates"]["application/json"]

    @pytest.mark.parametrize("kind", RESPONSES)
    def test_client_retries_temporary_gateway_responses(self, kind):
        """A 503 is temporary, because it usually means that Lambda throttled the function."""
        [response] = [response for response in GATEWAY_RESPONSES if response.kind == kind]
        responses = [
            httpx.Response(
                response.status or 400,
                json=response.body,
                headers={name: value.strip("'") for name, value in response.headers.items()},
            ),
            httpx.Response(200, json={"items": [], "count": 0}),
        ]
        pauses = []
        transport = httpx.MockTransport(lambda _: responses.pop(0))
        with httpx.Client(transport=transport) as http_client:
            client = InventoryClient(
                "https://api.example.com", http_client=http_client, pause=pauses.append
            )
            if response.status in {429, 503, 504}:
                assert client.list_items(ListItems()).items == ()
            else:
                with pytest.raises(InventoryError, match=response.error):
                    client.list_items(ListItems())

        assert len(pauses) == (response.status in {429, 503, 504})
        assert all(pause >= 1 for pause in pauses) or not response.headers

    def test_all_responses_have_the_headers_of_handlers(self, synthesized):
        """Handlers send the same security headers and request id."""
        for response in self.responses(synthesized).values():
            headers = response["ResponseParameters"]
            assert headers["gatewayresponse.header.Cache-Control"] == "'no-store'"
            assert headers["gatewayresponse.header.X-Content-Type-Options"] == "'nosniff'"
            assert headers["gatewayresponse.header.X-Request-Id"] == "context.requestId"

    def test_unknown_route_is_404(self, synthesized):
        """The default of the gateway is 403 and a missing token."""
        response = self.responses(synthesized)["MISSING_AUTHENTICATION_TOKEN"]

        assert response["StatusCode"] == "404"
        assert json.loads(response["ResponseTemplates"]["application/json"])["code"] == (
            "route_not_found"
        )

    def test_throttled_response_has_retry_after(self, synthesized):
        """Handlers send the same header if storage is throttled."""
        headers = self.responses(synthesized)["THROTTLED"]["ResponseParameters"]

        assert headers["gatewayresponse.header.Retry-After"] == "'1'"

    @pytest.mark.parametrize("response", GATEWAY_RESPONSES, ids=lambda response: response.kind)
    def test_code_has_the_same_status_as_in_handlers(self, response):
        """A code has one meaning."""
        if response.status is not None:
            assert CODES.get(response.code, response.status) == response.status


class TestFirewall:
    def test_prod_has_a_web_acl(self, prod):
        """The web ACL is associated with the stage."""
        [(name, acl)] = prod.of_type("AWS::WAFv2::WebACL").items()
        [association] = prod.of_type("AWS::WAFv2::WebACLAssociation").values()
        [stage_id] = prod.of_type("AWS::ApiGateway::Stage")
        rules = {rule["Name"]: rule for rule in acl["Properties"]["Rules"]}

        assert acl["Properties"]["Scope"] == "REGIONAL"
        assert association["Properties"]["WebACLArn"] == {"Fn::GetAtt": [name, "Arn"]}
        assert stage_id in json.dumps(association["Properties"]["ResourceArn"])
        assert set(rules) == {
            "RequestsPerAddress",
            "AWSManagedRulesCommonRuleSet",
            "AWSManagedRulesKnownBadInputsRuleSet",
        }
        assert sorted(rule["Priority"] for rule in rules.values()) == [0, 1, 2]

    def test_large_bodies_are_counted_and_not_blocked(self, prod):
        """The rule would block bodies over 8 KB, which a batch may have."""
        [acl] = prod.of_type("AWS::WAFv2::WebACL").values()
        [common] = [rule for rule in acl["Properties"]["Rules"] if "Common" in rule["Name"]]
        group = common["Statement"]["ManagedRuleGroupStatement"]

        assert group["RuleActionOverrides"] == [
            {"Name": "SizeRestrictions_BODY", "ActionToUse": {"Count": {}}}
        ]

    def test_rate_limit_per_address_is_a_setting(self, customized_prod):
        """The limit applies to five minutes."""
        [acl] = customized_prod.of_type("AWS::WAFv2::WebACL").values()
        [limit] = [
            rule for rule in acl["Properties"]["Rules"] if rule["Name"] == "RequestsPerAddress"
        ]

        assert limit["Action"] == {"Block": {}}
        assert limit["Statement"]["RateBasedStatement"] == {
            "AggregateKeyType": "IP",
            "EvaluationWindowSec": 300,
            "Limit": 500,
        }

    def test_web_acl_is_a_setting(self, dev, customized_preview, minimal_prod):
        """A web ACL has a monthly price."""
        assert not dev.of_type("AWS::WAFv2::WebACL")
        assert customized_preview.of_type("AWS::WAFv2::WebACL")
        assert not minimal_prod.of_type("AWS::WAFv2::WebACL")
