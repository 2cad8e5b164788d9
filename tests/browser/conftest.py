"""A browser, a server for each test, and a check that pages do nothing forbidden."""

import shutil

import httpx
import pytest
from attrs import define, field
from playwright.sync_api import expect, sync_playwright

from tests.local_server import created, serving

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Without these, Chromium sends requests of its own.
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    # The order of day and month in the field for a date.
    "--lang=en-US",
)

expect.set_options(timeout=10_000)


@pytest.fixture(scope="session")
def chromium():
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.fail(f"No {' or '.join(BROWSERS)} on the PATH", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path / "log", "--memory") as running:
        yield running


@define
class Api:
    """Another client of the same stock."""

    client: httpx.Client

    def create(self, **fields):
        return created(self.client, **fields)

    def item(self, item):
        response = self.client.get(f"/items/{item['item_id']}", params={"sku": item["sku"]})
        return response.json()["item"]

    def items(self, **filters):
        return self.client.get("/items", params=filters).json()["items"]

    def put(self, item, **fields):
        body = {"sku": item["sku"], **fields}
        self.client.put(f"/items/{item['item_id']}", json=body).raise_for_status()

    def movements(self, item):
        path = f"/items/{item['item_id']}/movements"
        return self.client.get(path, params={"sku": item["sku"]}).json()["movements"]


@pytest.fixture
def api(server):
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        yield Api(client)


@define(slots=False)  # Playwright sets an attribute on the owner of a listener.
class Watch:
    """
    A record of what pages did and may not do.

    Attributes:
        url: The only server that a page may send requests to.
        faults: One line for each fault.
    """

    url: str
    faults: list[str] = field(factory=list)

    def over(self, page):
        page.on("console", self._check_message)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._check_request)
        page.on("dialog", lambda dialog: (self.faults.append("a dialog"), dialog.dismiss()))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) =>"
            " console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"
        )
        return page

    def _check_message(self, message):
        # Chromium reports each error response. The tests expect some.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load"):
            self.faults.append(f"console: {message.text}")

    def _check_request(self, request):
        if not request.url.startswith(f"{self.url}/"):
            self.faults.append(f"request to {request.url}")


@pytest.fixture
def watch(server):
    """Check that pages log nothing, open no dialog, keep to their policy and use only our server."""
    watching = Watch(server.url)
    yield watching
    assert watching.faults == []


@pytest.fixture
def open_page(chromium, server, watch):
    """
    Return a function that opens a view of the console in a new window.

    It calls *prepare* with the page before it opens the console, and waits for an element that matches *shown*.
    """
    contexts = []

    def open_view(
        view="", *, width=1280, height=860, scheme="light", prepare=lambda _: None, shown="h1"
    ):
        context = chromium.new_context(
            base_url=server.url,
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
        )
        contexts.append(context)
        page = watch.over(context.new_page())
        prepare(page)
        page.goto(f"/#/{view}")
        expect(page.locator(shown)).to_be_visible()
        return page

    yield open_view
    for context in contexts:
        context.close()


def tab_to(page, locator):
    """Press Tab until *locator* has the focus, which must be visible at every step."""
    for _ in range(200):
        page.keyboard.press("Tab")
        style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert style != "none", page.evaluate("document.activeElement.outerHTML")
        if locator.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab does not lead to {locator}")


@pytest.fixture
def page(open_page):
    return open_page()
