"""Every example of the README and of the pages in docs is run, and prints what is written there."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import inventory.errors
from inventory_adapters.http.errors import CODES
from tests.console import BLOCK, Console, Session, blocks

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(sys.executable).parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What a benchmark prints is a measurement: `nox -s bench` writes it down.
MEASURED = ROOT / "docs/performance.md"
RUN = {
    str(page.relative_to(ROOT)): page
    for page in PAGES
    if page != MEASURED and blocks(page.read_text(), "console", "pycon")
}

# What the pages say runs in another terminal, by the port that they say it listens on.
SERVERS = {
    8080: (["inventory", "serve"], r"http://127\.0\.0\.1:(\d+)"),
    5000: (["moto_server"], r"Running on http://127\.0\.0\.1:(\d+)"),
}


@contextmanager
def serving(command, said, folder, environ):
    """Run *command* on a port that is free, which it tells."""
    with subprocess.Popen(
        [SCRIPTS / command[0], *command[1:], "--port", "0"],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            yield next(int(found[1]) for line in server.stdout if (found := re.search(said, line)))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=15)


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Make a console in an empty folder, which looks like a clone, beside the servers that a page speaks of."""
    if not shutil.which("curl"):
        pytest.skip("the examples use curl, which is not installed here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    environ = {
        **os.environ,
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "120",
        "PYTHONUNBUFFERED": "1",
        "CDK_VALIDATION": "false",  # `nox -s synth` has it on; it takes seconds.
    }
    with ExitStack() as servers:

        def started(text):
            ports = {
                port: servers.enter_context(serving(*server, tmp_path, environ))
                for port, server in SERVERS.items()
                if f"localhost:{port}" in text
            }
            return Console(tmp_path, environ, ports)

        yield started


@pytest.mark.parametrize("path", RUN)
def test_examples_print_what_the_page_says(start, path):
    """From its first line to its last; with UPDATE_DOCS=1, the page comes to say what they print."""
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


@pytest.mark.parametrize("path", ["README.md", "docs/tutorial.md"])
def test_what_is_run_elsewhere_is_what_the_tests_start(path):
    """An ``sh`` block is a part of what another test runs: an installation, or a server in another terminal."""
    known = (ROOT / "README.md").read_text().partition("## Run it, test it")[2].partition("## ")[0]
    deploying = (ROOT / "docs/deploy.md").read_text()
    for block in blocks((ROOT / path).read_text(), "sh"):
        for command in re.split(r" && |\n", block.strip()):
            served = any(command.startswith(" ".join(server)) for server, _ in SERVERS.values())
            assert served or command in known or command in deploying, command


def test_every_file_that_a_page_names_is_there():
    """Tests above all: a guarantee is worth as much as what holds us to it."""
    named = {
        (str(page.relative_to(ROOT)), path)
        for page in [*PAGES, ROOT / "CONTRIBUTING.md"]
        for path in re.findall(r"`((?:tests|src|bench|deploy|docs)/[\w./-]+)", page.read_text())
    }

    assert named
    assert not [(page, path) for page, path in sorted(named) if not (ROOT / path).exists()]


def test_no_page_installs_from_a_registry():
    """The package is not published: `pip install` of its name would fetch nothing, or somebody else's package."""
    pages = [*PAGES, *ROOT.glob("*.md"), *(ROOT / "src").rglob("*.py")]

    assert not [
        page for page in pages if re.search(r"pip install[^\n]* '?tap-inventory", page.read_text())
    ]


def test_every_link_between_pages_leads_somewhere():
    """Also from the README, and where the pages lie; the site checks its own."""
    linked = {
        (str(page.relative_to(ROOT)), link)
        for page in [*PAGES, *ROOT.glob("*.md")]
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    }

    assert linked
    assert not [it for it in sorted(linked) if not (ROOT / it[0]).parent.joinpath(it[1]).exists()]


def test_the_reference_has_every_public_name():
    """Of the library; errors are listed with their module."""
    reference = (ROOT / "docs/reference/library.md").read_text()
    told = re.findall(r"^\.\. auto\w+:: inventory\.(\w+)", reference, re.MULTILINE)

    assert "automodule:: inventory.errors" in reference
    assert not set(inventory.__all__) - set(told) - set(inventory.errors.__all__)


def test_the_guarantees_of_the_site_are_those_of_the_readme():
    """One table in two places; UPDATE_DOCS=1 writes the second."""
    told = re.search(
        r"^\| guarantee \|.*?\n\n", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )[0]
    rewrite(ROOT / "docs/explanation/guarantees.md", "guarantees", told.strip())


def test_the_index_of_decisions_has_them_all():
    """By number and title; UPDATE_DOCS=1 writes it."""
    folder = ROOT / "docs/decisions"
    rows = [
        f"- [{page.read_text().splitlines()[0].removeprefix('# ')}]({page.name})".replace(
            ". ", "\\. ", 1
        )
        for page in sorted(folder.glob("0*.md"))
    ]
    rewrite(folder / "index.md", "decisions", "\n".join(rows))


def rewrite(path, name, text):
    """Hold what is between two marks to *text*, or, with UPDATE_DOCS=1, write it."""
    document = path.read_text()
    published = re.search(rf"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", document, re.DOTALL)
    if os.environ.get("UPDATE_DOCS"):
        start, end = published.span(1)
        path.write_text(f"{document[:start]}{text}\n{document[end:].lstrip()}")
    else:
        assert published[1] == text


def test_every_error_code_is_published():
    """The table of the document is the table of the code; UPDATE_DOCS=1 writes it."""
    rows = [
        f"| {status} | `{code}` |"
        for code, status in sorted(CODES.items(), key=lambda it: it[::-1])
    ]
    rewrite(
        ROOT / "docs/http-api.md",
        "codes",
        "\n".join(["| status | code |", "| --- | --- |", *rows]),
    )


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
