"""Events of the deployed API: from an HTTP request to the bus, with the role of the function."""

import json
import time

import pytest

pytestmark = pytest.mark.e2e

SECONDS = 60


@pytest.fixture
def subscribed(deployed):
    """Return the events that a rule of the bus sends to a queue, once all expected types have come."""
    sqs, events = (deployed.aws.client(name) for name in ("sqs", "events"))
    name = f"inventory-{deployed.suffix}"
    queue = sqs.create_queue(QueueName=f"{name}-test")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    events.put_rule(
        Name="all", EventBusName=name, EventPattern=json.dumps({"source": [name]}), State="ENABLED"
    )
    target = {"Id": "queue", "Arn": arn["QueueArn"]}
    events.put_targets(Rule="all", EventBusName=name, Targets=[target])
    seen = []

    def receive(sku, expected):
        until = time.monotonic() + SECONDS
        while not {*expected} <= {it["type"] for it in seen} and time.monotonic() < until:
            answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                body = json.loads(message["Body"])
                assert body["detail-type"] == body["detail"]["type"]
                # The bus has the events of other tests, too.
                if sku in message["Body"]:
                    seen.append(body["detail"])
        return seen

    return receive


def test_what_a_request_changes_comes_to_the_bus(deployed, subscribed):
    """The item, its movements, the thresholds that it crosses, and its reservation."""
    sku = f"EVENT-{deployed.suffix}"
    with deployed.http() as client:
        fields = {"sku": sku, "name": "Lamp", "category": "light", "quantity": 3}
        created = client.post("/items", json={**fields, "reorder_point": 2})
        item = created.raise_for_status().json()["item"]
        key = {"item_id": item["item_id"], "sku": sku}
        lines = [{**key, "quantity": 1}]
        reserved = client.post("/reservations", json={"lines": lines}).raise_for_status().json()
        reservation = reserved["reservation"]["reservation_id"]
        client.post(f"/reservations/{reservation}/commit").raise_for_status()
        client.put(f"/items/{item['item_id']}", json={"sku": sku, "name": "Big lamp"})
        client.delete(f"/items/{item['item_id']}?sku={sku}").raise_for_status()

    expected = [
        *("ItemCreated", "ItemUpdated", "ItemDeleted", "StockMoved", "StockLow"),
        *("ReservationOpened", "ReservationCommitted"),
    ]
    events = subscribed(sku, expected)

    assert {event["type"] for event in events} == {*expected}
    moved = {event["sequence"]: event for event in events if event["type"] == "StockMoved"}
    assert [moved[sequence]["data"]["movement"]["kind"] for sequence in sorted(moved)] == [
        *("reserve", "commit", "delete")
    ]
    assert {event["subject"] for event in events} == {
        f"item/{item['item_id']}/{sku}",
        f"reservation/{reservation}",
    }
    assert {event["source"] for event in events} == {f"inventory-{deployed.suffix}"}
