"""`/metrics` of the local server."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from inventory import Inventory
from inventory_adapters.http.api_gateway import Cors
from inventory_adapters.server.gateway import LocalGateway, Site
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.storage.sqlite import SqliteRepository
from inventory_adapters.storage.sqlite.outbox import Sink
from tests.local_server import created, serving

SECRET = "cL9wXq2Vn7Rt4Yb8Kd3Zf6Hj"


def samples(client):
    """Return the values of the metrics, by name and labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


@pytest.fixture
def file(tmp_path):
    """A file with a webhook that nobody listens at."""
    file = tmp_path / "inventory.sqlite3"
    with SqliteRepository(file) as repository:
        repository.outbox().add(Sink(name="shop", target="http://127.0.0.1:9/"))
    return str(file)


def test_requests_and_events_are_counted(file, tmp_path):
    """Requests by route and status, events by webhook; also the process and the version."""
    with (
        serving(tmp_path / "log", "--db", file) as server,
        httpx.Client(base_url=server.url, trust_env=False) as client,
    ):
        item = created(client)
        client.get(f"/items/{item['item_id']}?sku=MUG-1").raise_for_status()
        client.get("/items/unknown?sku=MUG-1")
        client.get("/nothing")
        health = client.get("/health").json()
        values = samples(client)

    count = "inventory_request_seconds_count"
    assert values[count, "create_item", "201"] == 1
    assert values[count, "get_item", "200"] == 1
    assert values[count, "get_item", "404"] == 1
    assert values[count, "other", "404"] == 1
    assert values["inventory_events", "pending", "shop"] == 1
    assert values["inventory_events", "parked", "shop"] == 0
    assert values["inventory_info", version("tap-inventory")] == 1
    assert values[("process_open_fds",)] > 0
    assert health == {"status": "ok", "version": version("tap-inventory"), "schema": 1}


def test_metrics_need_a_key_if_requests_do(tmp_path):
    """Prometheus can send one."""
    keys = tmp_path / "keys"
    keys.write_text(f"prometheus: {SECRET} read-only\n")
    keys.chmod(0o600)
    with (
        serving(tmp_path / "log", "--memory", "--api-keys", str(keys)) as server,
        httpx.Client(base_url=server.url, trust_env=False) as client,
    ):
        refused = client.get("/metrics")
        client.headers["X-Api-Key"] = SECRET
        values = samples(client)

    assert refused.status_code == 401
    assert values["inventory_request_seconds_count", "other", "401"] == 1


def test_without_the_extra_there_are_none():
    """As any path that does not exist."""

    async def ask():
        with ThreadPoolExecutor(1) as threads:
            gateway = LocalGateway(
                Inventory(MemoryRepository()), Site("localhost", 80), Cors(), threads
            )
            transport = httpx.ASGITransport(gateway)
            async with httpx.AsyncClient(transport=transport) as client:
                return await client.get("http://localhost/metrics")

    assert asyncio.run(ask()).status_code == 404
