"""The files of the console and how they are served; tests in a browser cover its behaviour."""

import re
from pathlib import Path

import httpx
import pytest

import inventory_adapters
from inventory_adapters.server.pages import CONSOLE
from tests.local_server import needs_signals, serving

FOLDER = Path(inventory_adapters.__file__).parent / "server" / "console"
FILES = sorted(FOLDER.iterdir())

# Where else a browser would look: the documentation of the API, and names that are no addresses.
ELSEWHERE = {"/docs"}
NAMESPACE = "http://www.w3.org/2000/svg"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with (
        serving(tmp_path_factory.mktemp("server") / "log", "--memory") as server,
        httpx.Client(base_url=server.url, trust_env=False) as made,
    ):
        yield made


@needs_signals
@pytest.mark.parametrize("path", CONSOLE)
def test_every_file_is_served_under_a_strict_policy(client, path):
    """Nothing from other origins, nothing inline, and no markup from strings."""
    answer = client.get(path)

    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert answer.status_code == 200
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.text == CONSOLE[path]().body


@needs_signals
def test_unchanged_file_is_not_sent_again(client):
    """The browser revalidates it and gets a 304."""
    tag = client.get("/console/main.js").headers["ETag"]

    known = client.get("/console/main.js", headers={"If-None-Match": f'"other", W/{tag}'})
    other = client.get("/console/main.js", headers={"If-None-Match": '"other"'})

    assert (known.status_code, known.content, known.headers["ETag"]) == (304, b"", tag)
    assert (other.status_code, other.headers["ETag"]) == (200, tag)


@needs_signals
@pytest.mark.parametrize(
    "name", ["", "none.js", "../http/app.py", "%2e%2e/http/app.py", "main.js/"]
)
def test_nothing_else_is_served(client, name):
    """Only files in the folder have a path; paths are not looked up on disk."""
    answer = client.get(httpx.URL(raw_path=f"/console/{name}".encode()))

    assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")


@needs_signals
def test_page_is_read_only(client):
    """It supports GET, HEAD and OPTIONS."""
    answer = client.post("/")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert client.head("/").headers["Content-Type"] == "text/html; charset=utf-8"


def test_each_file_exists_and_is_used():
    """Every referenced file exists, and every file is referenced."""
    page = (FOLDER / "index.html").read_text()
    named = set(re.findall(r'(?:src|href)="(/[^"]*)"', page)) - ELSEWHERE
    for file in FOLDER.glob("*.js"):
        names = re.findall(r'^import .* from "\./(.+)";$', file.read_text(), re.MULTILINE)
        named.update(f"/console/{name}" for name in names)

    assert named == CONSOLE.keys() - {"/"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_loads_from_elsewhere_or_creates_markup(file):
    """No other host, nothing inline, and no conversion of strings to elements."""
    text = file.read_text().replace(NAMESPACE, "")

    assert not re.search(r"https?:|//\w+\.|url\((?!#)", text)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text
    )
    assert not re.search(r'<style|\sstyle="|\son\w+="|<script(?! type="module" src=)', text)
