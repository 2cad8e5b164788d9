import json
from functools import cache

import attrs
import pytest

from deploy.app import make_app

PROD_ORIGIN = "https://shop.example.com"
ENVIRONMENTS = ("dev", "prod", "feature-42")


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


@pytest.fixture(scope="session", params=ENVIRONMENTS)
def env(request):
    """The suffix of an environment of each kind."""
    return request.param


@pytest.fixture(scope="session")
def synthesized(env, synthesize):
    """The stack of an environment of each kind."""
    return synthesize(env)
