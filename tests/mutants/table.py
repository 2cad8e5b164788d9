"""All planted bugs."""

from tests.mutants import catalogue, client, deployment, domain, events, http, server, storage
from tests.mutants.planting import BUGS

__all__ = [
    "BUGS",
    "catalogue",
    "client",
    "deployment",
    "domain",
    "events",
    "http",
    "server",
    "storage",
]
