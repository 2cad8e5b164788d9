"""Tests of the README and docs: examples, links and tables."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

import inventory.errors
from inventory_adapters.http.errors import CODES
from tests.console import BLOCK, Console, Session, blocks
from tests.named_tests import ROOT, exists

GUARANTEES = (ROOT / "docs/explanation/guarantees.md").read_text()
SCRIPTS = Path(sys.executable).parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Its output is measured by `nox -s bench`, so it differs with each run.
MEASURED = ROOT / "docs/performance.md"
RUN = {
    str(page.relative_to(ROOT)): page
    for page in PAGES
    if page != MEASURED and blocks(page.read_text(), "console", "pycon")
}

# The servers that the pages start in another terminal, by port: the command, and the line with its real port.
SERVERS = {
    8080: (["inventory", "serve"], r"http://127\.0\.0\.1:(\d+)"),
    5000: (["moto_server"], r"Running on http://127\.0\.0\.1:(\d+)"),
}


@contextmanager
def serving(command, port_pattern, folder, environ):
    """Run *command* on a free port, and yield the port that it prints."""
    with subprocess.Popen(
        [SCRIPTS / command[0], *command[1:], "--port", "0"],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            yield next(
                int(match[1]) for line in server.stdout if (match := re.search(port_pattern, line))
            )
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=15)


@pytest.fixture
def start(tmp_path, monkeypatch):
    """
    Return a function that starts a console and the servers of a page.

    The folder of the console is empty except for `deploy`.
    """
    if not shutil.which("curl"):
        pytest.skip("the examples use curl, which is not installed here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    environ = {
        **os.environ,
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "120",
        "LOGNAME": "anna",  # The actor of commands.
        "PYTHONUNBUFFERED": "1",
        "CDK_VALIDATION": "false",  # It takes seconds, and `nox -s synth` runs it.
    }
    with ExitStack() as servers:

        def start_console(text):
            ports = {
                port: servers.enter_context(serving(*server, tmp_path, environ))
                for port, server in SERVERS.items()
                if f"localhost:{port}" in text
            }
            return Console(tmp_path, environ, ports)

        yield start_console


@pytest.mark.parametrize("path", RUN)
def test_examples_print_what_the_page_says(start, path):
    """Run the examples of a page; UPDATE_DOCS=1 writes their output."""
    page = RUN[path]
    document = page.read_text()
    console = start("".join(blocks(document, "console", "pycon")))
    checkers = {"console": console, "pycon": Session(console)}
    if module := re.search(r"save it as `(\w+\.py)`", document):
        Path(module[1]).write_text("\n".join(blocks(document, "python")))
    for match in BLOCK.finditer(document):
        if match["language"] not in checkers:
            continue
        block = match["text"]
        printed = checkers[match["language"]].check(block)
        if os.environ.get("UPDATE_DOCS"):
            page.write_text(page.read_text().replace(block, printed, 1))
        else:
            assert printed == block


def test_every_fault_names_its_tests():
    """Each row of the table of faults has tests, and they exist."""
    table = GUARANTEES.partition("| fault | answer | tests |\n| --- | --- | --- |\n")[2].partition(
        "\n\n"
    )[0]
    rows = [row.split(" | ")[-1] for row in table.splitlines()]
    named = [re.findall(r"`([^`]+)`", row) for row in rows]

    assert len(named) > 20
    assert all(named)
    assert [test for tests in named for test in tests if not exists(test)] == []


@pytest.mark.dynamodb_local
def test_the_page_to_the_cloud_prints_the_same_on_dynamodb_local(start, dynamodb_local_endpoint):
    """A shop is copied there and back."""
    document = (ROOT / "docs/how-to/from-file-to-cloud.md").read_text()
    console = start("")
    console.ports[5000] = dynamodb_local_endpoint.rpartition(":")[2]
    table = f"inventory-{uuid4().hex}"
    for block in blocks(document, "console"):
        printed = console.check(block.replace("inventory-prod", table))
        assert printed == block.replace("inventory-prod", table)


@pytest.mark.parametrize("path", ["README.md", "docs/tutorial.md"])
def test_every_sh_block_is_run_by_another_test(path):
    """A block is an installation, a server, or a step of a deployment."""
    readme = (ROOT / "README.md").read_text()
    installing = readme.partition("## Run it, test it")[2].partition("## ")[0]
    deploying = (ROOT / "docs/deploy.md").read_text()
    for block in blocks((ROOT / path).read_text(), "sh"):
        for command in re.split(r" && |\n", block.strip()):
            is_server = any(command.startswith(" ".join(server)) for server, _ in SERVERS.values())
            assert is_server or command in installing or command in deploying, command


def test_every_file_that_a_page_names_exists():
    """Such as the tests in the table of guarantees."""
    named = {
        (str(page.relative_to(ROOT)), path)
        for page in [*PAGES, ROOT / "CONTRIBUTING.md"]
        for path in re.findall(r"`((?:tests|src|bench|deploy|docs)/[\w./-]+)", page.read_text())
    }

    assert named
    assert not [(page, path) for page, path in sorted(named) if not (ROOT / path).exists()]


def test_no_page_installs_from_a_registry():
    """The name is not registered, so it may become another package."""
    pages = [*PAGES, *ROOT.glob("*.md"), *(ROOT / "src").rglob("*.py")]

    assert not [
        page for page in pages if re.search(r"pip install[^\n]* '?tap-inventory", page.read_text())
    ]


def test_every_link_between_pages_has_a_target():
    """As files of the repository; `nox -s docs` checks the links of the site."""
    linked = {
        (str(page.relative_to(ROOT)), link)
        for page in [*PAGES, *ROOT.glob("*.md")]
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    }

    assert linked
    assert not [
        (page, link)
        for page, link in sorted(linked)
        if not (ROOT / page).parent.joinpath(link).exists()
    ]


def test_the_reference_has_every_public_name():
    """Every name of the library is documented; errors are, with their module."""
    reference = (ROOT / "docs/reference/library.md").read_text()
    documented = re.findall(r"^\.\. auto\w+:: inventory\.(\w+)", reference, re.MULTILINE)

    assert "automodule:: inventory.errors" in reference
    assert not set(inventory.__all__) - set(documented) - set(inventory.errors.__all__)


def test_the_guarantees_of_the_readme_are_those_of_the_site():
    """The README has one line per guarantee, the page its sentences."""
    readme = (ROOT / "README.md").read_text().partition("| guarantee |")[2].partition("\n\n")[0]
    guarantees = [row.split(" | ")[0].removeprefix("| ") for row in readme.splitlines()[2:]]

    assert guarantees == re.findall(r"^\| \*\*(.+)\*\* \|", GUARANTEES, re.MULTILINE)


def test_every_guarantee_names_its_tests():
    """Each sentence of the table has tests, and they exist."""
    table = GUARANTEES.partition("| fault |")[0]
    rows = re.findall(r"^\| ([^*-].*?\.) \| (.*) \|$", table, re.MULTILINE)
    named = {sentence: re.findall(r"`([^`]+)`", tests) for sentence, tests in rows}

    assert len(named) > 30
    assert [sentence for sentence, tests in named.items() if not tests] == []
    assert [test for tests in named.values() for test in tests if not exists(test)] == []


def test_the_index_of_decisions_is_complete():
    """It lists every decision; UPDATE_DOCS=1 writes it."""
    folder = ROOT / "docs/decisions"
    rows = [
        f"- [{page.read_text().splitlines()[0].removeprefix('# ')}]({page.name})".replace(
            ". ", "\\. ", 1
        )
        for page in sorted(folder.glob("0*.md"))
    ]
    check_section(folder / "index.md", "decisions", "\n".join(rows))


def check_section(path, name, text):
    """Compare the section *name* with *text*; UPDATE_DOCS=1 writes it."""
    document = path.read_text()
    published = re.search(rf"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", document, re.DOTALL)
    if os.environ.get("UPDATE_DOCS"):
        start, end = published.span(1)
        path.write_text(f"{document[:start]}{text}\n{document[end:].lstrip()}")
    else:
        assert published[1] == text


def test_every_error_code_is_explained():
    """With its status, its meaning and what to do; no other code is."""
    page = (ROOT / "docs/reference/errors.md").read_text()
    rows = re.findall(r"^\| ([0-9]+) \| `(\w+)` \| .+ \| .+ \|$", page, re.MULTILINE)

    assert sorted((code, int(status)) for status, code in rows) == sorted(CODES.items())


def test_ci_runs_the_test_command_of_the_readme():
    """CI runs the same command that a new user runs."""
    [command] = [
        line
        for block in blocks((ROOT / "README.md").read_text(), "sh")
        for line in block.splitlines()
        if "pytest" in line
    ]

    assert command in (ROOT / ".ci/run").read_text()


@pytest.mark.slow
def test_the_run_command_of_the_readme_serves_from_a_fresh_clone(tmp_path):
    """The command installs the package, so it needs the package index."""
    [command] = [
        line
        for block in blocks((ROOT / "README.md").read_text(), "sh")
        for line in block.splitlines()
        if "inventory serve" in line and "venv" in line
    ]
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "clone"], check=True)
    with subprocess.Popen(
        ["bash", "-c", f"{command} --port 0"],
        cwd=tmp_path / "clone",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as server:
        try:
            first_line = server.stdout.readline()
        finally:
            os.killpg(server.pid, signal.SIGTERM)

    assert "Inventory on http://127.0.0.1:" in first_line
