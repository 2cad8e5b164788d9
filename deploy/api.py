"""The REST API: a method per route, and gateway responses that browsers can read."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import aws_cdk as cdk
from attrs import frozen
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from deploy.acknowledgements import acknowledge
from deploy.environments import Auth
from deploy.functions import LogPolicy, hyphenated
from deploy.limits import GATEWAY_BURST, GATEWAY_REQUESTS_PER_SECOND
from deploy.models import model_name, model_of
from inventory_adapters.http.api_gateway import ALLOWED_HEADERS, EXPOSED_HEADERS
from inventory_adapters.http.routes import QUERY_ALIASES, Route

__all__ = ["GATEWAY_RESPONSES", "Access", "Api", "Domain", "GatewayResponse", "api_name"]

_METHODS: Final = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
_PREFLIGHT_SECONDS: Final = 300
_INTEGRATION_SECONDS: Final = 29


@frozen
class GatewayResponse:
    """
    A response that the gateway creates itself.

    Attributes:
        kind: The gateway's name of the response type.
        code: The error code, for programs.
        error: The error message, one sentence.
        status: The status; None for the gateway's default status of this type.
        headers: Additional headers, in the gateway's notation.
        invalid: The invalid part of the request (`body` or `query`), for `details`; None if no part is invalid.
    """

    kind: str
    code: str
    error: str
    status: int | None = None
    headers: Mapping[str, str] = {}
    invalid: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The body, in the envelope of all errors."""
        body: dict[str, Any] = {"error": self.error, "code": self.code}
        if self.invalid:
            body["details"] = [{"field": self.invalid, "message": self.error}]
        return body


_NO_COGNITO: Final = "Callers are authenticated in another way: see the setting `auth`."
_UNAUTHORIZED: Final[dict[Auth, dict[str, str]]] = {
    "none": dict.fromkeys(
        ("AwsSolutions-APIG4", "AwsSolutions-COG4"),
        "The setting `auth` is `none` on purpose: this environment is for experiments and has no data to protect.",
    ),
    "key": {
        "AwsSolutions-APIG4": "API keys provide metering and basic access control for this API;"
        " `auth=iam` and `auth=cognito` authenticate callers.",
        "AwsSolutions-COG4": "See AwsSolutions-APIG4.",
    },
    "iam": {"AwsSolutions-COG4": _NO_COGNITO},
    "cognito": {},
}

_SOON: Final = {"Retry-After": "'1'"}

# Source: "Gateway response types for API Gateway" in the developer guide. The two defaults cover all types that are not listed.
GATEWAY_RESPONSES: Final = (
    GatewayResponse("DEFAULT_4XX", "request_refused", "The request was rejected"),
    # Usually Lambda throttled the function. The gateway cannot distinguish that from a crash. In both cases clients should
    # retry and a write may have been applied, which is what 503 means in this API.
    GatewayResponse(
        "DEFAULT_5XX",
        "service_unavailable",
        "The service is unavailable. Retry shortly.",
        503,
        headers=_SOON,
    ),
    # The gateway's message about the fault contains quotes, which a template cannot escape. So `details` names only the part.
    GatewayResponse(
        "BAD_REQUEST_BODY",
        "validation_failed",
        "The body must be a JSON object with every required field, each of its type",
        400,
        invalid="body",
    ),
    GatewayResponse(
        "BAD_REQUEST_PARAMETERS",
        "validation_failed",
        "A required query parameter is missing",
        400,
        invalid="query",
    ),
    # The gateway reports an unknown path or method as a missing token.
    GatewayResponse("MISSING_AUTHENTICATION_TOKEN", "route_not_found", "Path not found", 404),
    GatewayResponse("RESOURCE_NOT_FOUND", "route_not_found", "Path not found", 404),
    GatewayResponse("REQUEST_TOO_LARGE", "payload_too_large", "The request is too large", 413),
    GatewayResponse("UNAUTHORIZED", "unauthorized", "Valid credentials are required", 401),
    GatewayResponse("INVALID_API_KEY", "forbidden", "A valid API key is required", 403),
    GatewayResponse(
        "ACCESS_DENIED", "forbidden", "These credentials do not allow the request", 403
    ),
    GatewayResponse("EXPIRED_TOKEN", "forbidden", "The credentials have expired", 403),
    GatewayResponse("INVALID_SIGNATURE", "forbidden", "The signature is not valid", 403),
    GatewayResponse("WAF_FILTERED", "forbidden", "The request was blocked", 403),
    GatewayResponse(
        "THROTTLED",
        "too_many_requests",
        "Too many requests. Retry shortly.",
        429,
        headers=_SOON,
    ),
    GatewayResponse(
        "QUOTA_EXCEEDED", "quota_exceeded", "The request quota of this API key is used up", 429
    ),
    GatewayResponse("INTEGRATION_TIMEOUT", "timeout", "The request took too long", 504),
)


@frozen(kw_only=True)
class Access:
    """
    Access control of the API.

    Attributes:
        auth: How callers are authenticated.
        user_pool_arn: The Cognito pool of the callers, if `auth` is `cognito`.
        origins: Origins whose pages may read responses; `*` for all.
        monthly_requests: Requests that an API key may send in a calendar month; None for no limit.
    """

    auth: Auth
    user_pool_arn: str | None
    origins: Sequence[str]
    monthly_requests: int | None


@frozen(kw_only=True)
class Domain:
    """
    A custom domain of the API.

    Attributes:
        name: The domain: ``stock.example.com``.
        certificate_arn: Its certificate, in the region of the API.
    """

    name: str
    certificate_arn: str


class Api(Construct):
    """
    The REST API and its one stage.

    Args:
        routes: The route table: each row becomes a method, with a model if it has a body.
        handlers: The function, or alias, of each operation.
        stage_name: The name of the stage, and the last part of the API's name.
        access: Access control.
        log_policy: How log groups are created.
        data_trace: Whether whole requests and responses are logged.
        gateway_log_role: Whether to set the role with which API Gateway writes logs in this account and region.
        domain: The custom domain; None for the URL that API Gateway assigns.

    Attributes:
        rest_api: The API.
        stage: Its stage.
        access_log: The log group with one line per request.
        url: The URL that clients use.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        routes: Sequence[Route[Any, Any]],
        handlers: Mapping[str, lambda_.IFunction],
        stage_name: str,
        access: Access,
        log_policy: LogPolicy,
        data_trace: bool,
        gateway_log_role: bool,
        domain: Domain | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.access_log = log_policy.group(
            self, "AccessLog", f"/aws/apigateway/inventory-{stage_name}"
        )
        self.rest_api = apigateway.RestApi(
            self,
            "RestApi",
            rest_api_name=api_name(stage_name),
            description=f"The inventory's API ({stage_name})",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            cloud_watch_role=gateway_log_role,
            # Other APIs of the region may write their logs with the role, too.
            cloud_watch_role_removal_policy=cdk.RemovalPolicy.RETAIN if gateway_log_role else None,
            default_cors_preflight_options=apigateway.CorsOptions(
                allow_origins=list(access.origins),
                allow_methods=_METHODS,
                allow_headers=list(ALLOWED_HEADERS),
                expose_headers=list(EXPOSED_HEADERS),
                max_age=cdk.Duration.seconds(_PREFLIGHT_SECONDS),
            ),
            deploy_options=apigateway.StageOptions(
                stage_name=stage_name,
                throttling_rate_limit=GATEWAY_REQUESTS_PER_SECOND,
                throttling_burst_limit=GATEWAY_BURST,
                logging_level=apigateway.MethodLoggingLevel.INFO,
                data_trace_enabled=data_trace,
                metrics_enabled=True,
                tracing_enabled=True,
                access_log_destination=apigateway.LogGroupLogDestination(self.access_log),
                access_log_format=apigateway.AccessLogFormat.json_with_standard_fields(
                    caller=True,
                    http_method=True,
                    ip=True,
                    protocol=True,
                    request_time=True,
                    resource_path=True,
                    response_length=True,
                    status=True,
                    user=True,
                ),
            ),
        )
        # Removed because the stack declares its outputs itself.
        self.rest_api.node.try_remove_child("Endpoint")
        self.stage = self.rest_api.deployment_stage
        # Otherwise the gateway creates this group, without a retention period.
        execution_log = log_policy.group(
            self,
            "ExecutionLog",
            f"API-Gateway-Execution-Logs_{self.rest_api.rest_api_id}/{stage_name}",
        )
        self.stage.node.add_dependency(execution_log)
        self._add_methods(routes, handlers, access)
        self._add_validator()
        self._add_gateway_responses(access.origins)
        if access.auth == "key":
            self._require_key(stage_name, access.monthly_requests)
        if gateway_log_role:
            self._acknowledge_log_role()
        self.url = self.rest_api.url
        if domain:
            self._add_domain(domain)
            self.url = f"https://{domain.name}/"

    def _add_methods(
        self,
        routes: Sequence[Route[Any, Any]],
        handlers: Mapping[str, lambda_.IFunction],
        access: Access,
    ) -> None:
        authorized = self._authorized(access)
        for route in routes:
            method = self.rest_api.root.resource_for_path(route.path).add_method(
                route.method,
                apigateway.LambdaIntegration(
                    handlers[route.name],
                    timeout=cdk.Duration.seconds(_INTEGRATION_SECONDS),
                    # The console's test button would need an additional permission for each method.
                    allow_test_invoke=False,
                ),
                operation_name=route.name,
                api_key_required=access.auth == "key",
                request_parameters=_parameters(route),
                request_models=self._models(route),
                **authorized,
            )
            for finding, reason in _UNAUTHORIZED[access.auth].items():
                acknowledge(method, finding, reason)

    def _add_validator(self) -> None:
        """Validate the requests of all methods, including preflights, in the gateway."""
        validator = self.rest_api.add_request_validator(
            "Validator", validate_request_body=True, validate_request_parameters=True
        )
        for method in self.rest_api.methods:
            resource = cast("apigateway.CfnMethod", method.node.default_child)
            resource.request_validator_id = validator.request_validator_id

    def _authorized(self, access: Access) -> dict[str, Any]:
        """Return the authorization of every method, as arguments of `add_method`."""
        if access.auth == "iam":
            return {"authorization_type": apigateway.AuthorizationType.IAM}
        if access.auth == "cognito" and access.user_pool_arn:
            pool = cognito.UserPool.from_user_pool_arn(self, "UserPool", access.user_pool_arn)
            authorizer = apigateway.CognitoUserPoolsAuthorizer(
                self, "Authorizer", cognito_user_pools=[pool]
            )
            return {
                "authorization_type": apigateway.AuthorizationType.COGNITO,
                "authorizer": authorizer,
            }
        return {"authorization_type": apigateway.AuthorizationType.NONE}

    def _models(self, route: Route[Any, Any]) -> dict[str, apigateway.IModel] | None:
        # Where all fields are optional, the body is too; the gateway would reject a request without one.
        if not route.requires_body:
            return None
        name, schema = model_name(route), model_of(route)
        model = apigateway.CfnModel(
            self,
            name,
            rest_api_id=self.rest_api.rest_api_id,
            name=name,
            content_type="application/json",
            description=f"Request body of {route.method} {route.path}",
            schema=schema,
        )
        # A deployment is a snapshot of the API, so a changed model needs a new deployment.
        if deployment := self.rest_api.latest_deployment:
            deployment.node.add_dependency(model)
            deployment.add_to_logical_id({name: schema})
        return {"application/json": apigateway.Model.from_model_name(self, f"{name}Ref", model.ref)}

    def _add_gateway_responses(self, origins: Sequence[str]) -> None:
        headers = {
            **_cors_headers(origins),
            "Cache-Control": "'no-store'",
            "X-Content-Type-Options": "'nosniff'",
            "X-Request-Id": "context.requestId",
        }
        for response in GATEWAY_RESPONSES:
            self.rest_api.add_gateway_response(
                f"Response-{hyphenated(response.kind)}",
                type=apigateway.ResponseType.of(response.kind),
                status_code=str(response.status) if response.status else None,
                response_headers={**headers, **response.headers},
                templates={"application/json": json.dumps(response.body)},
            )

    def _add_domain(self, domain: Domain) -> None:
        certificate = acm.Certificate.from_certificate_arn(
            self, "Certificate", domain.certificate_arn
        )
        self.rest_api.add_domain_name(
            "Domain",
            domain_name=domain.name,
            certificate=certificate,
            endpoint_type=apigateway.EndpointType.REGIONAL,
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
        )

    def _require_key(self, stage_name: str, monthly_requests: int | None) -> None:
        key = self.rest_api.add_api_key("Key", api_key_name=f"inventory-api-key-{stage_name}")
        throttle = apigateway.ThrottleSettings(
            rate_limit=GATEWAY_REQUESTS_PER_SECOND, burst_limit=GATEWAY_BURST
        )
        plan = self.rest_api.add_usage_plan(
            "UsagePlan",
            name=f"inventory-usage-plan-{stage_name}",
            throttle=throttle,
            quota=apigateway.QuotaSettings(limit=monthly_requests, period=apigateway.Period.MONTH)
            if monthly_requests is not None
            else None,
            api_stages=[apigateway.UsagePlanPerApiStage(api=self.rest_api, stage=self.stage)],
        )
        plan.add_api_key(key)

    def _acknowledge_log_role(self) -> None:
        acknowledge(
            self.rest_api.node.find_child("CloudWatchRole"),
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]",
            "API Gateway tests the role when it is set, and rejects a role with fewer permissions than this policy.",
        )


def api_name(stage_name: str) -> str:
    """Return the name of the API, which is also its dimension in CloudWatch."""
    return f"inventory-api-{stage_name}"


def _parameters(route: Route[Any, Any]) -> dict[str, bool]:
    """Return the request parameters of a method, and whether each is required."""
    parameters = {f"method.request.path.{name}": True for name in route.path_fields}
    if not route.has_body:
        sent = route.sent_fields
        aliases = [alias for alias, name in QUERY_ALIASES.items() if name in sent]
        queried = {wire: spec.required for wire, spec in sent.items()} | dict.fromkeys(
            aliases, False
        )
        parameters |= {
            f"method.request.querystring.{name}": required for name, required in queried.items()
        }
    return parameters


def _cors_headers(origins: Sequence[str]) -> dict[str, str]:
    headers = {"Access-Control-Expose-Headers": f"'{', '.join(EXPOSED_HEADERS)}'"}
    if "*" in origins:
        return {**headers, "Access-Control-Allow-Origin": "'*'"}
    headers["Vary"] = "'Origin'"
    if len(origins) == 1:
        return {**headers, "Access-Control-Allow-Origin": f"'{origins[0]}'"}
    # A gateway response has no conditions, so it cannot choose among several origins. It returns the origin of the request. Any
    # page can then read that its own request was rejected, and nothing else.
    return {**headers, "Access-Control-Allow-Origin": "method.request.header.Origin"}
