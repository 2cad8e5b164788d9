"""
What is checked, and how: `nox` for lint, typing and tests; `nox --list` for all.

`nox --no-venv --no-install` runs a session in the environment that is already active.
"""

import json

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["lint", "typing", "tests"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def lint(session: nox.Session) -> None:
    """Style, likely mistakes, formatting."""
    session.install(*(need for need in dev_requirements() if need.startswith("ruff")))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def typing(session: nox.Session) -> None:
    """Types of everything that ships, and of what deploys it."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on every Python we promise; `nox -s tests -- -k name` picks."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs)


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


def dev_requirements() -> list[str]:
    """The `dev` extra, as pyproject.toml states it: one place for every version."""
    return PROJECT["project"]["optional-dependencies"]["dev"]
