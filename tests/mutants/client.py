"""Planted bugs of the client."""

import httpx

from inventory_adapters.client import InventoryClient
from inventory_adapters.client.wire import PreparedRequest, WireResponse
from tests.mutants.planting import noticed_by, wrap

CLIENT = "tests/client/test_client.py"


@noticed_by("tests/client/test_iter_items.py")
def an_item_on_two_pages_comes_twice(patch):
    def iterate(_original, client, query):
        token = query.page_token
        while True:
            page = client.list_items(type(query)(category=query.category, page_token=token))
            yield from page.items
            token = page.next_cursor
            if token is None:
                return

    wrap(patch, InventoryClient, "iter_items", iterate)


@noticed_by("tests/client/test_iter_items.py")
def an_empty_page_ends_the_iteration(patch):
    def listed(original, client, query):
        page = original(client, query)
        return page if page.items else type(page)(items=())

    wrap(patch, InventoryClient, "list_items", listed)


def prepared(patch, change):
    """Change every request that the client prepares."""
    original = PreparedRequest.of.__func__

    def of(cls, use_case, command):
        return change(original(cls, use_case, command))

    patch.setattr(PreparedRequest, "of", classmethod(of))


@noticed_by(f"{CLIENT}::TestRetries")
def every_update_is_sent_again(patch):
    def repeatable(request):
        object.__setattr__(request, "is_repeatable", True)
        return request

    prepared(patch, repeatable)


@noticed_by(f"{CLIENT}::TestRequests")
def a_write_has_no_key_of_its_own(patch):
    def keyless(request):
        request.headers.pop("idempotency-key", None)
        return request

    prepared(patch, keyless)


@noticed_by(f"{CLIENT}::TestRetries")
def an_unclear_outcome_is_reported_as_clear(patch):
    patch.setattr(PreparedRequest, "is_ambiguous", lambda *_: False)


@noticed_by(f"{CLIENT}::TestPauses")
def retry_after_is_ignored(patch):
    patch.setattr(WireResponse, "retry_after", property(lambda _self: 0.0))


@noticed_by(f"{CLIENT}::TestRetries")
def a_replay_is_not_recognized(patch):
    patch.setattr(WireResponse, "is_replay", property(lambda _self: False))


@noticed_by(f"{CLIENT}::TestErrors::test_redirects_are_not_followed")
def the_key_is_sent_to_another_server(patch):
    def request(original, http, method, url, **options):
        return original(http, method, url, **options | {"follow_redirects": True})

    wrap(patch, httpx.Client, "request", request)


@noticed_by(f"{CLIENT}::TestConnections")
def connections_of_the_caller_are_closed(patch):
    patch.setattr(InventoryClient, "close", lambda self: self._http.close())
