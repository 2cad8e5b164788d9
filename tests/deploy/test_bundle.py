"""The code of the Lambda functions as it is shipped: what is in the folder, and that nothing else is needed to run it."""

import json
import os
import re
import shutil
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
import botocore.session
import pytest
import requests
from attrs import fields
from botocore.loaders import Loader
from botocore.model import ServiceModel
from moto import mock_aws

from bench import cold
from bench.events import OPERATIONS
from deploy import bundle as bundling
from deploy.attrs_methods import MethodsError, compile_methods
from deploy.bundle import Bundle, BundleError, build, main
from deploy.environments import Settings
from deploy.reach import reach_of
from deploy.sdk_data import DataError, used_operations
from inventory_adapters.storage.dynamodb.schema import ITEMS, LEDGER, create_table_arguments

ROOT = Path(__file__).parent.parent.parent
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE_PACKAGES = Path(botocore.__file__).parent.parent
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
    """moto's AWS behind a socket, one request at a time; *calls* are those that it got."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), AwsHandler)
        self.calls = set()
        self.endpoint = f"http://127.0.0.1:{self.server_port}"


class AwsHandler(BaseHTTPRequestHandler):
    def do_POST(self):
        target, operation = self.headers["X-Amz-Target"].split(".")
        service = "ssm" if target == "AmazonSSM" else "dynamodb"
        self.server.calls.add((service, operation))
        answer = requests.post(
            f"https://{service}.us-east-1.amazonaws.com/",
            data=self.rfile.read(int(self.headers["Content-Length"])),
            headers={name: it for name, it in self.headers.items() if name != "Host"},
            timeout=5,
        )
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_):
        """Tests are quiet."""


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
    """Run `JOURNEY` in a bare interpreter: no environment of ours, no site-packages."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", JOURNEY, folder, *further],
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
    return build(tmp_path_factory.mktemp("with-sdk") / "bundle", python=THIS_PYTHON)


@pytest.fixture(scope="module")
def without_sdk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("without-sdk") / "bundle"
    return build(folder, python=THIS_PYTHON, sdk="runtime")


@pytest.fixture(scope="module")
def journey(bundle):
    """What came of the journey in the bundle, and the calls that AWS got."""
    before = bundle.digest
    with serving() as aws:
        came = travel(bundle.folder, endpoint=aws.endpoint, CONFIG_PARAMETER=LIMITS)
    return came | {"calls": aws.calls, "digests": (before, bundle.digest)}


def names_in(bundle):
    return {path.relative_to(bundle.folder).as_posix() for path in bundle.files}


def operations():
    return used_operations(reach_of(bundling.ENTRY, source=bundling.SOURCE))


class TestInABareInterpreter:
    def test_the_functions_answer(self, journey):
        """With no more than the folder and the standard library."""
        assert [(name, status) for name, status, _ in journey["answers"]] == STATUSES

    def test_the_page_limits_of_ssm_are_in_force(self, journey):
        """The second client comes from the trimmed data, too."""
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

    def test_nothing_is_written(self, journey):
        """Lambda mounts the folder read-only."""
        before, after = journey["digests"]

        assert before == after

    def test_every_operation_of_the_trimmed_models_is_used(self, journey):
        """And none is missing: what the code says is what AWS is asked for."""
        found = {(service, name) for service, names in operations().items() for name in names}

        assert journey["calls"] == found

    def test_the_sdk_may_come_from_the_runtime(self, without_sdk):
        """As from Lambda's, which is further down the path."""
        with serving() as aws:
            came = travel(without_sdk.folder, SITE_PACKAGES, endpoint=aws.endpoint)

        assert [(name, status) for name, status, _ in came["answers"]] == STATUSES
        assert Path(came["files"]["botocore"]).is_relative_to(SITE_PACKAGES)

    @pytest.mark.dynamodb_local
    def test_the_functions_answer_on_dynamodb_local(self, bundle, dynamodb_local_endpoint):
        """Which is stricter than moto about what it is sent."""
        table = f"bundle-{uuid4()}"
        client = boto3.client("dynamodb", endpoint_url=dynamodb_local_endpoint)
        client.create_table(**create_table_arguments(ITEMS, table))
        client.create_table(**create_table_arguments(LEDGER, f"{table}-ledger"))

        came = travel(bundle.folder, endpoint=dynamodb_local_endpoint, table=table)

        assert [(name, status) for name, status, _ in came["answers"]] == STATUSES


class TestContents:
    def test_only_what_an_entry_reaches_is_in_it(self, bundle):
        """Neither what runs at home, nor what tests and builds."""
        names = names_in(bundle)

        assert "inventory_adapters/storage/dynamodb/repository.pyc" in names
        at_home = r"inventory_adapters/.*(cli|demo|logs|server/gateway|memory|sqlite|testing)"
        assert not [it for it in names if re.search(at_home, it)]
        assert {it for it in names if not it.endswith((".pyc", ".json", "/METADATA"))} == {
            ".python-version",
            ".sources",
            "attr/_methods.bin",
            "botocore/cacert.pem",
        }

    def test_it_is_small(self, bundle, without_sdk):
        """At most 4 MB zipped with the SDK, 300 kB without."""
        assert bundle.zipped_bytes <= 4_000_000
        assert without_sdk.zipped_bytes <= 300_000

    def test_the_runtimes_sdk_is_left_to_the_runtime(self, without_sdk):
        """With all that it needs."""
        assert {it.split("/")[0] for it in names_in(without_sdk)} - {
            ".python-version",
            ".sources",
        } == {
            "attr",
            "attrs",
            *(it.name for it in without_sdk.folder.glob("attrs-*.dist-info")),
            "inventory",
            "inventory_adapters",
        }

    def test_it_tells_its_python(self, bundle, tmp_path):
        """For the stack to compare with the runtime of the functions."""
        assert bundle.python == THIS_PYTHON
        with pytest.raises(BundleError, match=r"There is no bundle in .*: `nox -s bundle` makes"):
            _ = Bundle(tmp_path).python

    def test_the_pinned_requirements_are_what_it_is_made_of(self, bundle):
        """Not one fewer, and none that nobody needs."""
        text = (ROOT / "deploy" / "bundle-requirements.txt").read_text()
        pinned = set(re.findall(r"^([\w-]+)==", text, re.MULTILINE))
        found = {path.name.split("-")[0] for path in bundle.folder.glob("*.dist-info")}

        assert found == {it.replace("-", "_") for it in pinned}


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

    def test_a_bundle_of_these_sources_is_current(self, bundle, without_sdk, source):
        """Wherever they are."""
        bundle.require_current()
        without_sdk.require_current()

    @pytest.mark.parametrize(
        ("file", "line"),
        [
            ("src/inventory/stock.py", "# another comment\n"),
            ("src/inventory_adapters/lambda_entry.py", "NEW = 1\n"),
            ("bundle-requirements.txt", "new==1.0\n"),
        ],
    )
    def test_a_change_makes_it_stale(self, bundle, source, tmp_path, file, line):
        """Of a module that the functions reach, or of a pin; the message says what to run."""
        with (tmp_path / file).open("a") as changed:
            changed.write(line)

        with pytest.raises(
            BundleError, match=rf"is stale, .*: run `nox -s bundle -- --python {THIS_PYTHON} "
        ):
            bundle.require_current()

    def test_a_module_that_is_gone_makes_it_stale(self, bundle, source):
        """And so would a new one."""
        (source / "inventory" / "batch.py").unlink()

        with pytest.raises(BundleError, match="is stale"):
            bundle.require_current()

    def test_what_no_function_reaches_does_not(self, bundle, source):
        """The console page, say."""
        (source / "inventory_adapters" / "cli" / "main.py").write_text("")

        bundle.require_current()

    def test_a_folder_that_does_not_tell_is_stale(self, bundle, tmp_path):
        """Half a bundle is none."""
        shutil.copytree(bundle.folder, tmp_path / "copy")
        (tmp_path / "copy" / ".sources").unlink()

        with pytest.raises(BundleError, match="is stale"):
            Bundle(tmp_path / "copy").require_current()


def test_a_failing_test_does_not_hang():
    """What it has started ends with it."""
    before = threading.active_count()

    with pytest.raises(ZeroDivisionError), serving():
        raise ZeroDivisionError

    assert threading.active_count() == before


class TestImports:
    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_an_entry_loads_what_it_needs(self, bundle, operation):
        """A budget for all modules together, and none of those that no handler has a use for."""
        loaded = cold.modules(operation, [bundle.folder])
        ours = [it for it in loaded if it.startswith("inventory")]

        assert not set(loaded) & set(cold.DENIED)
        assert len(ours) == 34
        # Another Python, and another SDK, have other modules beneath those that are asked for.
        pinned = (ROOT / "deploy" / "bundle-requirements.txt").read_text()
        is_as_deployed = f"botocore=={botocore.__version__} " in pinned
        if is_as_deployed and bundle.python == bundling.DEFAULT_PYTHON:
            assert len(loaded) <= cold.MOST_MODULES

    def test_methods_that_attrs_writes_are_there_compiled(self, bundle):
        """Nothing is compiled on import; what is not of the bundle still can be."""
        counting = """
import builtins, sys
sys.path[:0] = sys.argv[1:]
really, compiled = compile, []
def count(source, filename, *how, **more):
    if filename.startswith("<attrs"):
        compiled.append(filename)
    return really(source, filename, *how, **more)
builtins.compile = count
from inventory_adapters import lambda_entry
from inventory_adapters.storage.dynamodb import repository
print(compiled)
import attrs
Point = attrs.make_class("Point", ["x"])
print(compiled == [], Point(1) == Point(1), repr(Point(2)))
"""
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", counting, bundle.folder],
            capture_output=True,
            text=True,
            check=True,
        )

        assert done.stdout == "[]\nFalse True Point(x=2)\n"

    def test_an_attrs_that_works_otherwise_is_told(self, tmp_path):
        """Rather than shipped without what was promised."""
        (tmp_path / "attr").mkdir()
        (tmp_path / "attr" / "_make.py").write_text("def _compile(): ...\n")

        with pytest.raises(MethodsError, match="attrs compiles its methods in another place"):
            compile_methods(tmp_path, ["inventory"], interpreter=sys.executable)

    def test_code_that_does_not_run_is_told(self, tmp_path):
        """With what Python says of it."""
        (tmp_path / "attr").mkdir()
        (tmp_path / "attr" / "_make.py").write_text(
            "\ndef _compile_and_eval(\n): ...\n\ndef _linecache_and_compile(\n): ...\n"
        )

        with pytest.raises(MethodsError, match=r"(?s)cannot import the bundle.*no_such_module"):
            compile_methods(tmp_path, ["no_such_module"], interpreter=sys.executable)


class TestTwice:
    def test_two_builds_at_two_places_are_one(self, bundle, tmp_path):
        """Byte for byte, time for time, mode for mode; whatever the folder, the user and the environment are like."""
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
        """Code is named after its place in Lambda."""
        paths = [str(it).encode() for it in (ROOT, bundle.folder, SITE_PACKAGES)]

        for file in bundle.files:
            content = file.read_bytes()
            assert not any(path in content for path in paths), file
        entry = bundle.folder / "inventory_adapters" / "lambda_entry.pyc"
        assert b"/var/task/inventory_adapters/lambda_entry.py" in entry.read_bytes()

    def test_a_bundle_is_replaced_and_nothing_else(self, without_sdk, tmp_path):
        """A folder with anything else in it stays as it is."""
        output = tmp_path / "output"
        output.mkdir()
        assert build(output, python=THIS_PYTHON, sdk="runtime").digest == without_sdk.digest
        (output / "stale").touch()
        assert build(output, python=THIS_PYTHON, sdk="runtime").digest == without_sdk.digest

        (tmp_path / "thesis.txt").touch()
        with pytest.raises(BundleError, match="is there already, and is no bundle"):
            build(tmp_path, python=THIS_PYTHON)
        assert (tmp_path / "thesis.txt").exists()


def looks(bundle):
    paths = [bundle.folder, *sorted(bundle.folder.rglob("*"))]
    stats = [(path.relative_to(bundle.folder), path.stat()) for path in paths]
    return [(name, stat.st_mode, stat.st_mtime) for name, stat in stats]


@pytest.fixture(scope="module")
def loaders(bundle):
    """Of the trimmed data, and of botocore's own."""
    folders = (bundle.folder / "botocore" / "data", Loader.BUILTIN_DATA_PATH)
    return [Loader([str(it)], include_default_search_paths=False) for it in folders]


class TestTrimmedData:
    @pytest.mark.parametrize("service", ["dynamodb", "ssm"])
    def test_every_operation_used_is_whole(self, loaders, service):
        """Equal to the original in everything that is not for people to read."""
        trimmed, original = (
            ServiceModel(it.load_service_model(service, "service-2"), service) for it in loaders
        )

        assert set(trimmed.operation_names) == set(operations()[service])
        assert trimmed.metadata == original.metadata
        for name in trimmed.operation_names:
            ours, theirs = trimmed.operation_model(name), original.operation_model(name)
            assert silent(ours._operation_model) == silent(theirs._operation_model)
            assert shapes_of(ours) == shapes_of(theirs)

    def test_no_shape_is_left_over(self, loaders):
        """What no operation reaches is no use."""
        model = ServiceModel(loaders[0].load_service_model("dynamodb", "service-2"), "dynamodb")
        reached = [shapes_of(model.operation_model(name)) for name in model.operation_names]

        assert set(model.shape_names) == set().union(*reached)

    @pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1", "cn-north-1", "xx-new-7"])
    @pytest.mark.parametrize("service", ["dynamodb", "ssm"])
    def test_endpoints_are_where_they_were(self, loaders, service, region):
        """In every partition, and where nobody has heard of the region."""
        ours, theirs = (client(it, service, region) for it in loaders)

        assert ours.meta.endpoint_url == theirs.meta.endpoint_url

    @pytest.mark.parametrize("service", ["dynamodb", "ssm"])
    def test_the_rules_of_endpoints_are_whole(self, loaders, service):
        """They are not ours to interpret."""
        ours, theirs = loaders

        for load in (
            lambda it: it.load_service_model(service, "endpoint-rule-set-1"),
            lambda it: it.load_data("partitions"),
            lambda it: it.load_data("sdk-default-configuration"),
            lambda it: it.load_data("_retry"),
        ):
            assert load(ours) == load(theirs)

    def test_a_client_that_nothing_uses_is_a_mistake(self, tmp_path):
        """Of ours, or of the rule that finds what is used."""
        (tmp_path / "entry.py").write_text("make_client('sqs')")

        with pytest.raises(DataError, match="Nothing calls an operation of sqs"):
            used_operations(reach_of("entry", source=tmp_path))


def client(loader, service, region):
    session = botocore.session.Session()
    session.register_component("data_loader", loader)
    return session.create_client(service, region_name=region)


def shapes_of(operation):
    """Every shape of the operation, by name."""
    waiting = [operation.input_shape, operation.output_shape, *operation.error_shapes]
    found = {}
    while waiting:
        shape = waiting.pop()
        if shape is not None and shape.name not in found:
            found[shape.name] = silent(shape._shape_model)
            if shape.type_name == "structure":
                waiting += shape.members.values()
            elif shape.type_name == "list":
                waiting.append(shape.member)
            elif shape.type_name == "map":
                waiting += [shape.key, shape.value]
    return found


def silent(model):
    if isinstance(model, dict):
        return {
            key: silent(value)
            for key, value in model.items()
            if not (key == "documentation" and isinstance(value, str))
        }
    return [silent(it) for it in model] if isinstance(model, list) else model


class TestWhatStandsInTheWay:
    def test_the_usual_python_is_that_of_the_functions(self):
        """Unless an environment says otherwise."""
        assert fields(Settings).python_version.default == bundling.DEFAULT_PYTHON

    def test_a_python_that_is_not_here_is_told(self, tmp_path, monkeypatch):
        """Even where a version manager has put something of that name on the path."""
        shim = tmp_path / "python3.99"
        shim.write_text("#!/bin/sh\necho 'python3.99: not installed' >&2\nexit 127\n")
        shim.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

        with pytest.raises(SystemExit, match=r"There is no python3\.99 on the PATH"):
            main(["--output", str(tmp_path / "bundle"), "--python", "3.99"])
        assert not (tmp_path / "bundle").exists()

    def test_another_python_is_found_on_the_path(self, tmp_path, monkeypatch):
        """By what it says it is."""
        other = tmp_path / "python3.99"
        other.write_text(f"#!/bin/sh\necho 3.99 {other}\n")
        other.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

        assert bundling._interpreter("3.99") == str(other)

    def test_a_python_of_a_version_manager_is_found_though_another_is_selected(
        self, tmp_path, monkeypatch
    ):
        """As pyenv's program does: it runs what PYENV_VERSION names. What is returned is the interpreter itself."""
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
        """By the name that the functions import."""
        monkeypatch.setattr(bundling, "packages_distributions", lambda: {"botocore": ["botocore"]})

        with pytest.raises(BundleError, match="import attrs, which is not installed"):
            build(tmp_path / "bundle", python=THIS_PYTHON)

    def test_a_need_that_is_not_here_is_told(self):
        """By the name of the package."""
        with pytest.raises(BundleError, match="need no-such-package, which is not installed"):
            bundling._with_needs(["no-such-package"])

    def test_a_package_that_is_not_pure_python_is_refused(self):
        """It would fit this machine, not Lambda's."""
        [compiled] = packages_distributions()["yaml"]

        with pytest.raises(BundleError, match="has compiled parts"):
            list(bundling._files_of(bundling._installed(compiled)))

    def test_a_package_that_was_changed_is_refused(self, monkeypatch):
        """What ships is what was published."""
        monkeypatch.setattr(bundling, "_recorded", lambda _: "another")

        with pytest.raises(BundleError, match=r"of six is not as it was installed"):
            list(bundling._files_of(bundling._installed("six")))
