import json
from functools import cache

import attrs
import pytest

from deploy.app import make_app

PROD_ORIGIN = "https://shop.example.com"
ENVIRONMENTS = ("dev", "prod", "feature-42")


@attrs.frozen
class Synthesized:
    """A stack and the template that it became."""

    stack: object
    template: dict

    def of_type(self, kind):
        """The resources of a type, by logical id: ``AWS::DynamoDB::Table``."""
        return {name: it for name, it in self.template["Resources"].items() if it["Type"] == kind}

    def properties(self, kind, **wanted):
        """The properties of the one resource of a type that has the *wanted* ones."""
        found = [
            it["Properties"]
            for it in self.of_type(kind).values()
            if wanted.items() <= {k: v for k, v in it["Properties"].items() if k in wanted}.items()
        ]
        assert len(found) == 1, f"{len(found)} resources {kind} with {wanted}"
        return found[0]

    def named(self, kind, attribute, name):
        """The logical id of the resource of a type that is called *name*."""
        [found] = [k for k, it in self.of_type(kind).items() if it["Properties"][attribute] == name]
        return found


@pytest.fixture(scope="session")
def synthesize(tmp_path_factory):
    """Synthesize an environment; cdk-nag checks it, as it does for a deployment."""

    @cache
    def cached(suffix, said):
        context = {"environmentSuffix": suffix, "stubBundle": "true", **json.loads(said)}
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
    """The suffix of each kind of environment."""
    return request.param


@pytest.fixture(scope="session")
def made(env, synthesize):
    """Each kind of environment."""
    return synthesize(env)
