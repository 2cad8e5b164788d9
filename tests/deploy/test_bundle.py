"""The bundle of the Lambda functions: its contents, and that it runs without anything else."""

import ast
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import packages_distributions
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
import requests
from attrs import fields
from moto import mock_aws

from bench import cold
from bench.events import OPERATIONS
from bench.loopback import loopback
from deploy import bundle as bundling
from deploy.bundle import Bundle, BundleError, build, main
from deploy.environments import Settings
from deploy.trust import trust_folder
from inventory_adapters.storage.dynamodb.schema import ITEMS, LEDGER, create_table_arguments
from tests.signatures import is_signed

ROOT = Path(__file__).parent.parent.parent
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE_PACKAGES = Path(boto3.__file__).parent.parent
LIMITS = "/inventory/test/config"

# A function's life in a process that has nothing but the folder: every AWS operation we use is called at least once.
JOURNEY = """
import json, sys
sys.path[:0] = sys.argv[1:]
from inventory_adapters import lambda_entry

answers = []
def ask(operation, body=None, path=None, **query):
    event = {"pathParameters": path, "queryStringParameters": query, "body": body and json.dumps(body)}
    result = getattr(lambda_entry, operation)(event, None)
    answer = json.loads(result["body"])
    answers.append([operation, result["statusCode"], answer])
    return answer

tent = {"sku": "TENT-2", "name": "Tent", "quantity": 5, "category": "tents"}
path = {"item_id": ask("create_item", tent)["item"]["item_id"]}
ask("create_item", {**tent, "sku": "TENT-3"})
ask("get_item", path=path)
ask("update_item", {"sku": "TENT-2", "name": "Big tent"}, path=path)
ask("adjust_stock", {"sku": "TENT-2", "delta": 3, "reason": "delivery"}, path=path)
ask("list_items")
ask("list_items", category="tents")
ask("list_items", sku="TENT-2")
ask("delete_item", path=path, sku="TENT-2")
files = {name: vars(module).get("__file__") for name, module in list(sys.modules.items())}
print(json.dumps({"answers": answers, "files": files}))
"""
STATUSES = [
    ("create_item", 201),
    ("create_item", 201),
    ("get_item", 200),
    ("update_item", 200),
    ("adjust_stock", 201),
    ("list_items", 200),
    ("list_items", 200),
    ("list_items", 200),
    ("delete_item", 200),
]


class Aws(HTTPServer):
    """Serve moto on a socket, one request at a time; *calls* collects the requests."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), AwsHandler)
        self.calls = set()
        self.unsigned = []
        self.endpoint = f"http://127.0.0.1:{self.server_port}"


class AwsHandler(BaseHTTPRequestHandler):
    def do_POST(self):
        target, operation = self.headers["X-Amz-Target"].split(".")
        service = "ssm" if target == "AmazonSSM" else "dynamodb"
        self.server.calls.add((service, operation))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): it for name, it in self.headers.items()}
        if not is_signed(headers, body):
            self.server.unsigned.append((service, operation))
        answer = requests.post(
            f"https://{service}.us-east-1.amazonaws.com/",
            data=body,
            headers={name: it for name, it in self.headers.items() if name != "Host"},
            timeout=5,
        )
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_):
        """Log nothing."""


@contextmanager
def serving():
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(**create_table_arguments(ITEMS, "stock"))
        client.create_table(**create_table_arguments(LEDGER, "stock-ledger"))
        limits = {"default_page_size": 1, "max_items_per_page": 1}
        boto3.client("ssm", region_name="us-east-1").put_parameter(
            Name=LIMITS, Value=json.dumps(limits), Type="String"
        )
        with Aws() as aws:
            thread = threading.Thread(target=aws.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield aws
            finally:
                # Also when a test fails: the interpreter would wait for the thread.
                aws.shutdown()
                thread.join()


def travel(folder, *further, endpoint, table="stock", **settings):
    """Run `JOURNEY` in an interpreter without our environment and site-packages."""
    done = subprocess.run(
        [
            *(sys.executable, "-I", "-S", "-W", "error"),
            # The connection is kept alive until the process ends.
            *("-W", "ignore:unclosed <socket:ResourceWarning"),
            *("-c", JOURNEY, folder, *further),
        ],
        env={
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
            "TABLE_NAME": table,
            **settings,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return build(tmp_path_factory.mktemp("bundle") / "bundle", python=THIS_PYTHON)


@pytest.fixture(scope="module")
def journey(bundle):
    """The output of `JOURNEY` in the bundle, and its calls to AWS."""
    before = bundle.digest
    with serving() as aws:
        came = travel(bundle.folder, endpoint=aws.endpoint, CONFIG_PARAMETER=LIMITS)
    return came | {"calls": aws.calls, "unsigned": aws.unsigned, "digests": (before, bundle.digest)}


def names_in(bundle):
    return {path.relative_to(bundle.folder).as_posix() for path in bundle.files}


class TestInABareInterpreter:
    def test_the_functions_answer(self, journey):
        """It needs only the folder and the standard library."""
        assert [(name, status) for name, status, _ in journey["answers"]] == STATUSES

    def test_the_page_limits_of_ssm_are_in_force(self, journey):
        """The parameter is read without an SDK, too."""
        first_page = next(it for name, _, it in journey["answers"] if name == "list_items")

        assert first_page["count"] == 1

    def test_nothing_from_elsewhere_is_loaded(self, journey, bundle):
        """A module is of the standard library, or it is in the folder and compiled."""
        files = {Path(file) for file in journey["files"].values() if file}
        ours = {file for file in files if file.is_relative_to(bundle.folder)}

        assert {file.suffix for file in ours} == {".pyc"}
        standard = Path(sysconfig.get_path("stdlib")).resolve()
        assert [it for it in files - ours if not it.resolve().is_relative_to(standard)] == []
        assert not any("site-packages" in file.parts for file in files)

    def test_every_request_is_signed_as_botocore_signs_it(self, journey):
        """To DynamoDB and to SSM."""
        assert journey["unsigned"] == []
        assert {service for service, _ in journey["calls"]} == {"dynamodb", "ssm"}

    def test_nothing_is_written(self, journey):
        """Lambda mounts the folder read-only."""
        before, after = journey["digests"]

        assert before == after

    def test_the_runtimes_boto3_is_used_where_that_is_wanted(self, bundle):
        """Lambda has boto3 further down the path."""
        with serving() as aws:
            came = travel(bundle.folder, SITE_PACKAGES, endpoint=aws.endpoint, TRANSPORT="boto3")

        assert [(name, status) for name, status, _ in came["answers"]] == STATUSES
        assert Path(came["files"]["boto3"]).is_relative_to(SITE_PACKAGES)

    def test_its_roots_are_trusted(self, bundle):
        """By OpenSSL, one file at a time."""
        trust = bundle.folder / "trust"
        context = ssl.create_default_context(capath=str(trust))

        assert {it.name for it in trust.iterdir()} == set(trust_folder())
        assert context.verify_mode is ssl.CERT_REQUIRED

    @pytest.mark.dynamodb_local
    def test_the_functions_answer_on_dynamodb_local(self, bundle, dynamodb_local_endpoint):
        """DynamoDB Local validates requests more strictly than moto."""
        table = f"bundle-{uuid4()}"
        client = boto3.client("dynamodb", endpoint_url=dynamodb_local_endpoint)
        client.create_table(**create_table_arguments(ITEMS, table))
        client.create_table(**create_table_arguments(LEDGER, f"{table}-ledger"))

        came = travel(bundle.folder, endpoint=dynamodb_local_endpoint, table=table)

        assert [(name, status) for name, status, _ in came["answers"]] == STATUSES


class TestContents:
    def test_only_what_an_entry_reaches_is_in_it(self, bundle):
        """No code for the local server, tests or builds."""
        names = names_in(bundle)

        assert "inventory_adapters/storage/dynamodb/repository.pyc" in names
        at_home = r"inventory_adapters/.*(cli|demo|logs|server/gateway|memory|sqlite|testing)"
        assert not [it for it in names if re.search(at_home, it)]
        trusted = {f"trust/{name}" for name in trust_folder()}
        assert {it for it in names if not it.endswith((".pyc", "/METADATA"))} == {
            ".python-version",
            ".sources",
            *trusted,
        }

    def test_it_is_small(self, bundle):
        """At most 500 kB zipped."""
        assert bundle.zipped_bytes <= 500_000

    def test_the_sdk_is_left_to_the_runtime(self, bundle):
        """Including its dependencies."""
        packages = {it.split("/")[0] for it in names_in(bundle)}

        assert not packages & {"boto3", "botocore", "s3transfer", "urllib3", "jmespath", "certifi"}

    def test_it_tells_its_python(self, bundle, tmp_path):
        """The stack compares it with the runtime of the functions."""
        assert bundle.python == THIS_PYTHON
        with pytest.raises(BundleError, match=r"There is no bundle in .*: run `nox -s bundle`"):
            _ = Bundle(tmp_path).python

    def test_the_pinned_requirements_are_what_it_is_made_of(self, bundle):
        """The base dependencies, their dependencies and the roots, and nothing else."""
        text = (ROOT / "deploy" / "bundle-requirements.txt").read_text()
        pinned = set(re.findall(r"^([\w-]+)==", text, re.MULTILINE))
        found = {path.name.split("-")[0] for path in bundle.folder.glob("*.dist-info")}

        base = bundling._with_dependencies(["attrs", "cattrs"])

        # certifi is the list of roots, and leaves nothing else behind.
        assert {"certifi", *(it.replace("_", "-") for it in base)} == pinned
        assert {it.replace("_", "-") for it in found} <= pinned

    def test_records_can_be_read(self, bundle):
        """It uses the cattrs of the folder, which a first request does not import."""
        script = (
            "import sys; sys.path[:0] = sys.argv[1:]; import inventory_adapters.records, cattrs;"
            "print(cattrs.__file__)"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", script, bundle.folder],
            capture_output=True,
            text=True,
            check=True,
        )

        assert Path(done.stdout.strip()).is_relative_to(bundle.folder)

    def test_lines_have_the_numbers_of_the_source(self):
        """Docstrings and annotations of functions are cut, so that tracebacks still point to the right line."""
        source = (ROOT / "src" / "inventory" / "service.py").read_bytes()

        reduced = ast.parse(bundling._reduced(source, annotations=False))
        expected = ast.parse(source)

        for node in ast.walk(expected):
            documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            if documented and ast.get_docstring(node):
                node.body[0].value.value = ""
            if isinstance(node, ast.FunctionDef):
                node.returns = None
            if isinstance(node, ast.arg):
                node.annotation = None
        assert ast.dump(reduced) == ast.dump(expected)
        statements = [
            [it.lineno for it in ast.walk(tree) if isinstance(it, ast.stmt)]
            for tree in (reduced, expected)
        ]
        assert statements[0] == statements[1]

    def test_annotations_of_other_packages_are_kept(self):
        """They may have an effect."""
        source = (
            b"def f(\n    a: int,\n    *b: list[\n        int\n    ],\n) -> None:\n    return a\n"
        )

        assert bundling._reduced(source, annotations=True) == source
        assert bundling._reduced(source, annotations=False) == (
            b"def f(\n    a,\n    *b\n\n,\n) :\n    return a\n"
        )


class TestStale:
    @pytest.fixture
    def source(self, tmp_path, monkeypatch):
        """A copy of the sources and pins, for a test to change."""
        source = tmp_path / "src"
        shutil.copytree(bundling.SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
        pins = tmp_path / "bundle-requirements.txt"
        shutil.copy(bundling._PINS, pins)
        monkeypatch.setattr(bundling, "SOURCE", source)
        monkeypatch.setattr(bundling, "_PINS", pins)
        return source

    def test_a_bundle_of_these_sources_is_current(self, bundle, source):
        """Independent of their folder."""
        bundle.require_current()

    @pytest.mark.parametrize(
        ("file", "line"),
        [
            ("src/inventory/stock.py", "# another comment\n"),
            ("src/inventory_adapters/lambda_entry.py", "NEW = 1\n"),
            ("bundle-requirements.txt", "new==1.0\n"),
        ],
    )
    def test_a_change_makes_it_stale(self, bundle, source, tmp_path, file, line):
        """A changed module or pin makes the bundle stale; the message names the command to run."""
        with (tmp_path / file).open("a") as changed:
            changed.write(line)

        with pytest.raises(
            BundleError, match=rf"is stale, .*: run `nox -s bundle -- --python {THIS_PYTHON} "
        ):
            bundle.require_current()

    def test_a_module_that_is_gone_makes_it_stale(self, bundle, source):
        """A new bundle would change, too."""
        (source / "inventory" / "batch.py").unlink()

        with pytest.raises(BundleError, match="is stale"):
            bundle.require_current()

    def test_what_no_function_reaches_does_not(self, bundle, source):
        """For example the console page."""
        (source / "inventory_adapters" / "cli" / "main.py").write_text("")

        bundle.require_current()

    def test_a_folder_that_does_not_tell_is_stale(self, bundle, tmp_path):
        """An incomplete bundle is stale."""
        shutil.copytree(bundle.folder, tmp_path / "copy")
        (tmp_path / "copy" / ".sources").unlink()

        with pytest.raises(BundleError, match="is stale"):
            Bundle(tmp_path / "copy").require_current()


def test_a_failing_test_does_not_hang():
    """A background process ends with the function."""
    before = threading.active_count()

    with pytest.raises(ZeroDivisionError), serving():
        raise ZeroDivisionError

    assert threading.active_count() == before


class TestImports:
    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_an_entry_loads_what_it_needs(self, bundle, operation, monkeypatch):
        """The number of modules is bounded, and none of them is one that no handler needs."""
        with loopback() as environment:
            monkeypatch.setenv("AWS_ENDPOINT_URL", environment["AWS_ENDPOINT_URL"])
            loaded = cold.modules(operation, [bundle.folder])

        assert not set(loaded) & set(cold.DENIED)
        if bundle.python == bundling.DEFAULT_PYTHON:
            assert len(loaded) <= cold.MOST_MODULES


class TestTwice:
    def test_two_builds_at_two_places_are_one(self, bundle, tmp_path):
        """Contents, times and modes are equal, independent of folder, user and environment."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", "deploy.bundle"),
                *("--output", tmp_path / "quite" / "elsewhere", "--python", THIS_PYTHON),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONOPTIMIZE": "1", "LC_ALL": "C"},
            umask=0o077,
            capture_output=True,
            text=True,
            check=True,
        )

        again = Bundle(tmp_path / "quite" / "elsewhere")
        assert again.digest == bundle.digest
        assert f"sha256 {bundle.digest}" in done.stdout
        assert re.search(r"elsewhere: [\d,]+ kB, zipped [\d,]+ kB", done.stdout)
        assert looks(again) == looks(bundle)
        assert sum(1 for _ in again.folder.parent.iterdir()) == 1

    def test_no_file_knows_where_it_was_made(self, bundle):
        """File names in the code are those in Lambda."""
        paths = [str(it).encode() for it in (ROOT, bundle.folder, SITE_PACKAGES)]

        for file in bundle.files:
            content = file.read_bytes()
            assert not any(path in content for path in paths), file
        entry = bundle.folder / "inventory_adapters" / "lambda_entry.pyc"
        assert b"/var/task/inventory_adapters/lambda_entry.py" in entry.read_bytes()

    def test_a_bundle_is_replaced_and_nothing_else(self, bundle, tmp_path):
        """A folder with other files is not changed."""
        output = tmp_path / "output"
        output.mkdir()
        assert build(output, python=THIS_PYTHON).digest == bundle.digest
        (output / "stale").touch()
        assert build(output, python=THIS_PYTHON).digest == bundle.digest

        (tmp_path / "thesis.txt").touch()
        with pytest.raises(BundleError, match="exists and is not a bundle"):
            build(tmp_path, python=THIS_PYTHON)
        assert (tmp_path / "thesis.txt").exists()


def looks(bundle):
    paths = [bundle.folder, *sorted(bundle.folder.rglob("*"))]
    stats = [(path.relative_to(bundle.folder), path.stat()) for path in paths]
    return [(name, stat.st_mode, stat.st_mtime) for name, stat in stats]


class TestWhatStandsInTheWay:
    def test_the_usual_python_is_that_of_the_functions(self):
        """The default without an environment setting."""
        assert fields(Settings).python_version.default == bundling.DEFAULT_PYTHON

    def test_a_python_that_is_not_here_is_told(self, tmp_path, monkeypatch):
        """Even if a version manager has a program of that name on the path."""
        shim = tmp_path / "python3.99"
        shim.write_text("#!/bin/sh\necho 'python3.99: not installed' >&2\nexit 127\n")
        shim.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

        with pytest.raises(SystemExit, match=r"python3\.99 is not on the PATH"):
            main(["--output", str(tmp_path / "bundle"), "--python", "3.99"])
        assert not (tmp_path / "bundle").exists()

    def test_another_python_is_found_on_the_path(self, tmp_path, monkeypatch):
        """The program's own version decides."""
        other = tmp_path / "python3.99"
        other.write_text(f"#!/bin/sh\necho 3.99 {other}\n")
        other.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

        assert bundling._interpreter("3.99") == str(other)

    def test_a_python_of_a_version_manager_is_found_though_another_is_selected(
        self, tmp_path, monkeypatch
    ):
        """Like pyenv's wrapper, which starts the version in PYENV_VERSION; the result is the interpreter itself."""
        shim = tmp_path / "python3.99"
        shim.write_text(
            "#!/bin/sh\n"
            'if [ "$PYENV_VERSION" = 3.99 ]; then echo 3.99 /opt/pyenv/versions/3.99.1/bin/python; exit; fi\n'
            "echo 'pyenv: python3.99: command not found' >&2\nexit 127\n"
        )
        shim.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.setenv("PYENV_VERSION", "3.11")

        assert bundling._interpreter("3.99") == "/opt/pyenv/versions/3.99.1/bin/python"

    def test_a_package_that_is_not_here_is_told(self, monkeypatch, tmp_path):
        """The message has the name of the import."""
        monkeypatch.setattr(bundling, "packages_distributions", lambda: {"certifi": ["certifi"]})

        with pytest.raises(BundleError, match="import attrs, which is not installed"):
            build(tmp_path / "bundle", python=THIS_PYTHON)

    def test_a_need_that_is_not_here_is_told(self):
        """The message has the name of the package."""
        with pytest.raises(BundleError, match="need no-such-package, which is not installed"):
            bundling._with_dependencies(["no-such-package"])

    def test_a_package_that_is_not_pure_python_is_refused(self):
        """It would run on this platform, but not on Lambda's."""
        [compiled] = packages_distributions()["yaml"]

        with pytest.raises(BundleError, match="has compiled parts"):
            list(bundling._files_of(bundling._installed(compiled)))

    def test_a_package_that_was_changed_is_refused(self, monkeypatch):
        """Only published files are deployed."""
        monkeypatch.setattr(bundling, "_recorded", lambda _: "another")

        with pytest.raises(BundleError, match=r"of six was changed after its installation"):
            list(bundling._files_of(bundling._installed("six")))
