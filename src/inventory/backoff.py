"""The pause before a retry."""

import random

__all__ = ["full_jitter"]


def full_jitter(longest: float) -> float:
    """
    Return a random pause of up to *longest* seconds.

    Because clients that failed together would otherwise retry together, the pause may be anything from 0.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
    """
    return random.uniform(0, longest)  # noqa: S311 - spreads load, guards nothing
