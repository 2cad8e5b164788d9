"""
What is checked, and how: `nox` for lint, typing and tests; `nox --list` for all.

`nox --no-venv --no-install` runs a session in the environment that is already active.
"""

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


def dev_requirements() -> list[str]:
    """The `dev` extra, as pyproject.toml states it: one place for every version."""
    return PROJECT["project"]["optional-dependencies"]["dev"]
