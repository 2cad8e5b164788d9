"""`inventory webhooks`."""

import json
import re

import pytest
from click.testing import CliRunner

from inventory_adapters.cli.main import cli

URL = "https://shop.example.com/hook"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVENTORY_DB", "shop.sqlite3")

    def command(*arguments, **environ):
        return CliRunner(env=environ).invoke(cli, arguments)

    assert command("demo").exit_code == 0
    return command


def listed(run):
    return json.loads(run("webhooks", "list", "--json").stdout)["webhooks"]


def test_a_webhook_is_added_listed_and_removed(run):
    """Its secret is shown once, and never again."""
    added = run("webhooks", "add", "shop", URL)
    shown = run("webhooks", "list")
    [row] = listed(run)
    removed = run("webhooks", "remove", "shop")

    [secret] = re.findall(r"whsec_\S+", added.stdout)
    assert (added.exit_code, removed.exit_code) == (0, 0)
    assert secret not in shown.stdout
    assert URL in shown.stdout
    assert row == {
        "name": "shop",
        "target": URL,
        "pending": 0,
        "parked": 0,
        "failing_since": None,
        "retry_at": None,
    }
    assert listed(run) == []


def test_events_of_commands_are_pending(run):
    """Those from before are not."""
    run("webhooks", "add", "log", "file:events.jsonl")
    tent = ("--sku", "TENT-TRAIL-1", "--location", "store")
    run("stock", "adjust", *tent, "--delta", "1", "--reason", "found")

    [row] = listed(run)
    assert row["pending"] == 1
    assert row["target"].startswith("file:/")


def test_a_secret_can_be_given(run):
    """By an option, or by the environment."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    added = run("webhooks", "add", "shop", URL, "--secret", secret)
    other = run("webhooks", "add", "other", URL, INVENTORY_WEBHOOK_SECRET=secret)

    assert secret in added.stdout
    assert secret in other.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "shop", "ftp://shop.example.com"), "must be https://HOST/PATH, or file:PATH"),
        (("add", "shop", "https:///hook"), "must be https://HOST/PATH, or file:PATH"),
        (("add", "shop", "file:missing/events.jsonl"), "there is no folder"),
        (("add", "shop", URL, "--secret", "whsec_short"), "must be whsec_ and 24 to 64 bytes"),
        (("add", "shop", URL, "--secret", "x" * 32), "must be whsec_ and 24 to 64 bytes"),
        (("add", "log", "file:events.jsonl", "--secret", "whsec_" + "A" * 32), "needs no --secret"),
        (("add", "", URL), "NAME must be printable"),
        (("list", "--dynamodb"), "a deployment sends to EventBridge"),
    ],
)
def test_wrong_usage_is_refused(run, arguments, message):
    """With what is right."""
    done = run("webhooks", *arguments)

    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())


@pytest.mark.parametrize("command", ["remove", "resend"])
def test_a_name_that_does_not_exist_is_an_error(run, command):
    """It may be a mistyped one."""
    done = run("webhooks", command, "sohp")

    assert done.exit_code == 1
    assert "no webhook sohp" in done.stderr


def test_a_name_is_given_once(run):
    """A second one is rejected, and the first stays."""
    run("webhooks", "add", "shop", URL)
    done = run("webhooks", "add", "shop", "https://other.example.com")

    assert done.exit_code == 1
    assert "a webhook shop already" in done.stderr
    assert [row["target"] for row in listed(run)] == [URL]


def test_a_plain_connection_gets_a_warning(run):
    """On this machine, it is no problem."""
    far = run("webhooks", "add", "far", "http://shop.example.com/hook")
    near = run("webhooks", "add", "near", "http://127.0.0.1:9000/hook")

    assert "unencrypted" in far.stderr
    assert near.stderr == ""
