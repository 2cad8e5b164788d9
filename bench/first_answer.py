"""
The first request of a new process; `bench.cold` runs and measures it.

    python -c "from bench.first_answer import main; main()" MODULE:FUNCTION OPERATION [modules]
"""

import sys
from importlib import import_module

__all__ = ["main"]


def main() -> None:
    """Call the handler that the command line names; print the imported modules on request."""
    from bench.events import Context, event

    request, context = event(sys.argv[2]), Context()
    module, _, name = sys.argv[1].partition(":")
    handler = getattr(import_module(module), name)
    result = handler(request, context)
    if result["statusCode"] not in (200, 201):
        sys.exit(f"{sys.argv[1]}: {result}")
    if "modules" in sys.argv:
        harness = {name for name in sys.modules if name.partition(".")[0] == "bench"}
        print("\n".join(sorted(set(sys.modules) - harness)))
