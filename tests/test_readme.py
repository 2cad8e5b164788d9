"""Every command and snippet of the README and of the HTTP documentation is run, and prints what is written there."""

import doctest
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inventory_adapters.http.errors import CODES
from tests.console import Console, blocks, examples

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(sys.executable).parent
DOCUMENTS = ["README.md", "docs/http-api.md"]


@pytest.fixture
def console(tmp_path):
    """A shell beside a server that has just been started on a store of its own."""
    if not shutil.which("curl"):
        pytest.skip("the examples use curl, which is not installed here")
    environ = {**os.environ, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}
    command = [SCRIPTS / "inventory", "serve", "--port", "0"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            port = int(re.search(r"http://127\.0\.0\.1:(\d+)", server.stdout.readline())[1])
            yield Console(tmp_path, environ, port)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=15)


@pytest.mark.parametrize("path", DOCUMENTS)
def test_commands_print_what_the_document_says(console, path):
    """With UPDATE_DOCS=1, the document comes to say what they print."""
    document = (ROOT / path).read_text()
    for block in blocks(document, "console"):
        printed = ""
        for example in examples(block):
            command = "\n> ".join(example.command.rstrip("\n").split("\n"))
            printed += f"$ {command}\n{console.check(example)}"
        if os.environ.get("UPDATE_DOCS"):
            document = document.replace(block, printed)
            (ROOT / path).write_text(document)
        else:
            assert printed == block


@pytest.mark.parametrize("path", ["README.md", "docs/writing-an-adapter.md"])
def test_python_examples_print_what_the_document_says(path):
    """One session from the first line of the document to the last."""
    document = (ROOT / path).read_text()
    session = "\n".join(blocks(document, "pycon"))
    test = doctest.DocTestParser().get_doctest(session, {"__name__": "example"}, path, path, 0)
    output = []

    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=output.append)

    assert result.attempted > 0
    assert not result.failed, "".join(output)


def test_every_error_code_is_published():
    """The table of the document is the table of the code; UPDATE_DOCS=1 writes it."""
    path = ROOT / "docs/http-api.md"
    rows = [
        f"| {status} | `{code}` |"
        for code, status in sorted(CODES.items(), key=lambda it: it[::-1])
    ]
    table = "\n".join(["| status | code |", "| --- | --- |", *rows])
    document = path.read_text()
    published = re.search(r"<!-- codes -->\n(.*?)\n?<!-- /codes -->", document, re.DOTALL)
    if os.environ.get("UPDATE_DOCS"):
        start, end = published.span(1)
        path.write_text(f"{document[:start]}{table}\n{document[end:].lstrip()}")
    else:
        assert published[1] == table


def test_ci_runs_the_test_command_of_the_readme():
    """What a newcomer types is what is checked."""
    [command] = [
        line
        for block in blocks((ROOT / "README.md").read_text(), "sh")
        for line in block.splitlines()
        if "pytest" in line
    ]

    assert command in (ROOT / ".ci/run").read_text()


@pytest.mark.slow
def test_the_run_command_of_the_readme_serves_from_a_fresh_clone(tmp_path):
    """A virtual environment, an installation, a server that answers. Needs the package index."""
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
            said = server.stdout.readline()
        finally:
            os.killpg(server.pid, signal.SIGTERM)

    assert "Inventory on http://127.0.0.1:" in said
