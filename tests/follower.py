"""A consumer of events, as the documentation describes it: it keeps a copy of an inventory."""

from decimal import Decimal

from attrs import define, field

DETAILS = (
    *("name", "description", "category", "price", "location", "reorder_point", "attributes"),
    "version",
)
# What an event is about. Of the events about one thing of one subject, the one with the greatest sequence is the latest.
THINGS = {
    "ItemCreated": "item",
    "ItemUpdated": "item",
    "ItemDeleted": "end",
    "StockMoved": "movement",
    "StockLow": "low",
    "StockOut": "availability",
    "StockRestocked": "availability",
    "ReservationOpened": "reservation",
    "ReservationExtended": "reservation",
    "ReservationCommitted": "reservation",
    "ReservationReleased": "reservation",
    "ReservationExpired": "reservation",
}
# How the status of an item follows its stock.
STATUSES = {
    "StockOut": ("available", "out_of_stock"),
    "StockRestocked": ("out_of_stock", "available"),
}


@define
class Follower:
    """
    Keeps the latest event about each thing of each subject.

    Attributes:
        latest: These events, by thing and subject.
    """

    latest: dict[tuple[str, str], dict] = field(factory=dict)

    def take(self, event):
        """Take an event, which may have come before, or be older than others."""
        place = THINGS[event["type"]], event["subject"]
        known = self.latest.get(place)
        if known is None or known["sequence"] < event["sequence"]:
            self.latest[place] = event

    def items(self):
        """Return the details, the level and the status of each item, by ID and SKU."""
        items = {}
        for thing, subject in self.latest:
            if thing == "item" and ("end", subject) not in self.latest:
                row = self.item(subject)
                items[row["item_id"], row["sku"]] = row
        return items

    def item(self, subject):
        data = self.latest["item", subject]["data"]
        item, seq = data["item"], data["seq"]
        level = {"on_hand": item["quantity"], "reserved": item["reserved"], "seq": seq}
        status = item["status"]
        moved = self.latest.get(("movement", subject))
        if moved and moved["data"]["movement"]["seq"] > seq:
            level = {name: moved["data"]["movement"][name] for name in level}
        crossed = self.latest.get(("availability", subject))
        if crossed and crossed["data"]["seq"] > seq:
            before, after = STATUSES[crossed["type"]]
            status = after if status == before else status
        key = {"item_id": item["item_id"], "sku": item["sku"]}
        return {**key, **{name: item[name] for name in DETAILS}, **level, "status": status}

    def reservations(self):
        """Return the reservations, by ID."""
        rows = (
            event["data"]["reservation"]
            for (thing, _), event in self.latest.items()
            if thing == "reservation"
        )
        return {row["reservation_id"]: row for row in rows}

    def check(self, model):
        """Compare with the model: the items, and the reservations that it has not deleted."""
        names = (*DETAILS, "item_id", "sku", "on_hand", "reserved", "seq", "status")
        expected = {
            key: {**{name: row[name] for name in names}, "price": Decimal(row["price"])}
            for key, row in model.items.items()
        }
        assert self.items() == expected
        reservations = self.reservations()
        assert {name: reservations[name] for name in model.reservations} == model.reservations
