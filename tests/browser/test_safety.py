"""Text of items and files is never run, and the page and its server are closed to other sites."""

import re
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import expect

from tests.local_server import serving

pytestmark = pytest.mark.browser

ATTACKS = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_markup_in_an_item_is_shown_as_text(open_page, api, attack):
    """All views show the text of an item as it is; nothing is run, fetched or blocked."""
    texts = dict.fromkeys(("sku", "name", "category", "description", "location"), attack)
    item = api.create(**texts, quantity=5)
    path = f"/items/{item['item_id']}"
    moved = {"sku": attack, "delta": 1, "reason": attack, "reference": attack}
    api.client.post(f"{path}/adjustments", json=moved).raise_for_status()
    line = {"item_id": item["item_id"], "sku": attack, "quantity": 1}
    held = api.client.post("/reservations", json={"lines": [line], "reference": attack}).json()

    page = open_page()
    expect(page.locator(".items")).to_contain_text(attack)
    page.get_by_role("link", name=attack).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(attack)
    expect(page.locator(".movements")).to_contain_text(attack)
    page.get_by_role("tab", name="Edit").click()
    page.get_by_label("Name").fill(f"{attack}{attack}")
    api.put(item, name=f"their {attack}")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".conflict")).to_contain_text(f"their {attack}")
    page.goto(f"/#/reservations/{held['reservation']['reservation_id']}")
    expect(page.locator(".reservation")).to_contain_text(attack)
    page.goto(f"/#/?sku={quote(attack)}&category={quote(attack)}")
    expect(page.locator(".items")).to_contain_text(attack)

    assert page.locator("main :is(img, script, iframe)").count() == 0


@pytest.mark.parametrize("attack", ATTACKS)
def test_markup_in_a_file_is_shown_as_text(open_page, api, attack):
    """Column names, cells and the file name are shown as they are."""
    page = open_page("import")
    text = f'sku,name,category,quantity,"{attack.replace(chr(34), chr(34) * 2)}"\nX,Y,Z,many,\n'
    page.get_by_label("choose one").set_input_files(
        {"name": f"{attack}.csv", "mimeType": "text/csv", "buffer": text.encode()}
    )

    expect(page.locator(".report")).to_contain_text("1 rejected")
    expect(page.locator(".report")).to_contain_text(attack)


def test_an_address_is_never_run(open_page):
    """Text after the hash is looked up, or not found."""
    page = open_page()
    for address in ("nothing", "items/%3Cimg%20src=x%20onerror=alert(1)%3E/x", "items/%E0%A4%A"):
        page.goto(f"/#/{address}")
        expect(page.get_by_role("heading", level=1)).to_have_text(
            re.compile("Page not found|Something went wrong")
        )


def test_the_policy_stops_an_injected_script(chromium, server):
    """A script that got in cannot create markup, listeners or styles, nor call other servers."""
    page = chromium.new_page(base_url=server.url)
    page.goto("/")

    *outcomes, violated = page.evaluate(
        """async () => {
            const violated = new Set();
            addEventListener("securitypolicyviolation", (event) => violated.add(event.effectiveDirective));
            const attempt = (act) => { try { act(); return ""; } catch (error) { return error.name; } };
            const button = document.createElement("button");
            button.setAttribute("style", "color: red");
            const markup = attempt(() => { button.innerHTML = "<p>"; });
            const listener = attempt(() => button.setAttribute("onclick", "window.wasRun = true"));
            button.click();
            const away = await fetch("https://example.com/").then(() => "sent", () => "blocked");
            await new Promise((resume) => setTimeout(resume, 100));
            return [markup, listener, window.wasRun ?? false, button.style.color, away, [...violated].sort()];
        }"""
    )

    assert outcomes == ["TypeError", "TypeError", False, "", "blocked"]
    assert violated == ["connect-src", "require-trusted-types-for", "style-src-attr"]
    page.context.close()


ATTEMPTS = """async (url) => {
    const body = JSON.stringify({sku: "EVIL", name: "Evil", category: "evil", quantity: 1});
    const fetched = fetch(`${url}/items`, {method: "POST", mode: "no-cors", body}).catch(() => null);
    const form = document.createElement("form");
    Object.assign(form, {method: "POST", enctype: "text/plain", action: `${url}/items`, target: "there"});
    const field = document.createElement("input");
    // The "=" between name and value is part of the description.
    const start = body.slice(0, -1);
    Object.assign(field, {name: `${start}, "description": "`, value: '"}'});
    form.append(field);
    const frame = Object.assign(document.createElement("iframe"), {name: "there"});
    document.body.append(form, frame);
    const loaded = new Promise((resolve) => { frame.onload = resolve; });
    form.submit();
    const sent = navigator.sendBeacon(`${url}/items`, body);
    await Promise.all([fetched, loaded]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    return sent;
}"""


@pytest.mark.parametrize("allowed", [False, True])
def test_a_page_of_another_site_writes_nothing(chromium, tmp_path, allowed):
    """Requests that a browser sends without a preflight write nothing unless the origin is allowed."""
    # Another port is another origin. This page has no policy of its own that would stop it.
    with serving(tmp_path / "other", "--memory") as other:
        options = ["--allowed-origin", other.url] if allowed else []
        with serving(tmp_path / "log", "--memory", *options) as server:
            page = chromium.new_page()
            page.goto(f"{other.url}/openapi.json")

            assert page.evaluate(ATTEMPTS, server.url)
            page.context.close()
            listed = httpx.get(f"{server.url}/items", trust_env=False).json()

    assert listed["count"] == (3 if allowed else 0)
    assert server.log.read_text().count("forbidden_origin") == (0 if allowed else 3)
