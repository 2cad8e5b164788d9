"""
What a new process does for its first answer; run as the child of `bench.cold`, which measures it from outside.

    python -c "from bench.first_answer import main; main()" MODULE:FUNCTION OPERATION [modules]
"""

import sys
from importlib import import_module

__all__ = ["main"]


def main() -> None:
    """Load the handler that the command line names, and have it answer; print the modules that took, if asked for."""
    from bench.events import Context, event

    sent, context = event(sys.argv[2]), Context()
    module, _, name = sys.argv[1].partition(":")
    handler = getattr(import_module(module), name)
    result = handler(sent, context)
    if result["statusCode"] not in (200, 201):
        sys.exit(f"{sys.argv[1]}: {result}")
    if "modules" in sys.argv:
        harness = {it for it in sys.modules if it.partition(".")[0] == "bench"}
        print("\n".join(sorted(set(sys.modules) - harness)))
