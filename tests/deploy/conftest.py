import json
from functools import cache

import attrs
import pytest

from deploy.app import make_app

PROD_ORIGIN = "https://shop.example.com"
ENVIRONMENTS = ("dev", "prod", "feature-42")
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
LOG_KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
TOPIC = "arn:aws:sns:us-east-1:123456789012:ops"


@attrs.frozen
class Synthesized:
    """A stack and its template."""

    stack: object
    template: dict

    def of_type(self, kind):
        """Return the resources of a type, by logical id: ``AWS::DynamoDB::Table``."""
        return {
            logical_id: resource
            for logical_id, resource in self.template["Resources"].items()
            if resource["Type"] == kind
        }

    def properties(self, kind, **expected):
        """Return the properties of the one resource of a type with the *expected* values."""
        matches = [
            resource["Properties"]
            for resource in self.of_type(kind).values()
            if all(resource["Properties"].get(name) == value for name, value in expected.items())
        ]
        assert len(matches) == 1, f"{len(matches)} resources {kind} with {expected}"
        return matches[0]

    def named(self, kind, attribute, name):
        """Return the logical id of the one resource of a type with the given *name*."""
        [logical_id] = [
            logical_id
            for logical_id, resource in self.of_type(kind).items()
            if resource["Properties"][attribute] == name
        ]
        return logical_id


@pytest.fixture(scope="session")
def synthesize(tmp_path_factory):
    """Synthesize an environment once for each context; cdk-nag checks it, as for a deployment."""

    @cache
    def cached(suffix, settings):
        context = {"environmentSuffix": suffix, "stubBundle": "true", **json.loads(settings)}
        app = make_app(context, outdir=str(tmp_path_factory.mktemp("cdk")), check_templates=False)
        assembly = app.synth()
        name = f"TapStack{suffix}"
        return Synthesized(app.node.find_child(name), assembly.get_stack_by_name(name).template)

    def synthesize(suffix, **context):
        if suffix == "prod":
            context = {"allowedOrigins": PROD_ORIGIN, **context}
        return cached(suffix, json.dumps(context, sort_keys=True))

    return synthesize


@pytest.fixture(scope="session")
def dev(synthesize):
    return synthesize("dev")


@pytest.fixture(scope="session")
def prod(synthesize):
    return synthesize("prod")


# Settings that do not affect each other share a stack, because a synthesis takes seconds.
@pytest.fixture(scope="session")
def customized_preview(synthesize):
    """A preview with values for many settings."""
    return synthesize(
        "feature-42",
        billing="provisioned",
        capacity="20-400",
        cmk="true",
        dataTrace="false",
        gatewayLogRole="true",
        memory="1024",
        protected="true",
        runtime="3.13",
        waf="true",
    )


@pytest.fixture(scope="session")
def customized_prod(synthesize):
    """A production environment with values for many settings."""
    return synthesize(
        "prod",
        alarmEmail="ops@example.com",
        certificateArn=CERTIFICATE,
        concurrency="create-item=40,get-item=none",
        domainName="stock.example.com",
        ledgerTableName="restored-moves",
        logKey=LOG_KEY,
        logRetention="400",
        monthlyRequests="3000000",
        requestsPerIp="500",
        tableName="restored",
    )


@pytest.fixture(scope="session")
def minimal_prod(synthesize):
    """A production environment without its optional parts."""
    return synthesize(
        "prod",
        alarmTopic=TOPIC,
        concurrency="create-item=40",
        monthlyRequests="none",
        protected="false",
        reservedConcurrency="none",
        waf="false",
    )


@pytest.fixture(scope="session", params=ENVIRONMENTS)
def env(request):
    """The suffix of an environment of each kind."""
    return request.param


@pytest.fixture(scope="session")
def synthesized(env, synthesize):
    """The stack of an environment of each kind."""
    return synthesize(env)
