"""Generated clients compile, and the Python and TypeScript ones complete a journey."""

import shutil
from pathlib import Path

import pytest

from tests.clients.generated import (
    DOCUMENT,
    NODE,
    TSC,
    generate,
    need,
    run,
    run_python,
)
from tests.local_server import serving

pytestmark = pytest.mark.clients

HERE = Path(__file__).parent


@pytest.fixture
def url(tmp_path):
    with serving(tmp_path / "log", "--memory") as server:
        yield server.url


def test_python_of_openapi_generator(tmp_path, url):
    """From the creation of an item to a typed 409."""
    pytest.importorskip("pydantic", reason="the generated client needs pydantic")
    client = generate("python", tmp_path / "client")

    run_python(HERE / "journey_openapi_generator.py", client, url)


def test_python_of_openapi_python_client(tmp_path, url):
    """The same journey with another generator."""
    need("openapi-python-client")
    run(
        *("openapi-python-client", "generate", "--meta", "none"),
        *("--path", DOCUMENT, "--output-path", tmp_path / "inventory_client"),
    )

    run_python(HERE / "journey_openapi_python_client.py", tmp_path, url)


def test_typescript(tmp_path, url):
    """It compiles in strict mode and completes the journey."""
    if not TSC.exists():
        pytest.skip("there is no TypeScript in node_modules: npm ci")
    client = generate("typescript-fetch", tmp_path / "client", importFileExtension=".js")
    shutil.copy(HERE / "journey.ts", client)
    (client / "package.json").write_text('{"type": "module"}')

    run(
        *(NODE, TSC, "--strict", "--noUncheckedIndexedAccess", "--target", "es2022"),
        *("--module", "nodenext", "--lib", "es2022,dom,dom.iterable", "journey.ts"),
        cwd=client,
    )
    run(NODE, client / "journey.js", url)


def test_go(tmp_path):
    """It compiles."""
    need("go")
    client = generate("go", tmp_path / "client")
    # Generated tests need a package that the client itself does without.
    shutil.rmtree(client / "test")

    run("go", "build", "./...", cwd=client, GOFLAGS="-mod=mod")


def test_java(tmp_path):
    """It compiles with the HTTP client of the JDK."""
    client = generate("java", tmp_path / "client", library="native")

    run("mvn", "-q", "-B", "compile", cwd=client)
