"""
The results of `bench.contention` as SVG: two panels over the number of writers.

The scales are logarithmic, because a local file and a database behind HTTP differ by orders of magnitude.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import ceil, floor, log2, log10
from typing import Final

from bench.contention import Outcome

__all__ = ["draw"]

_WIDTH: Final = 360
_HEIGHT: Final = 220
_LEFT: Final = 56
_TOP: Final = 36
_GAP: Final = 90
# The value to draw for 0 on a logarithmic scale.
_MINIMUM: Final = 0.1
_FONT: Final = 'font-family="sans-serif" font-size="12" fill="#333"'
_COLOURS: Final = ("#1b6ca8", "#c8553d", "#588157")

_PANELS: Final[tuple[tuple[str, Callable[[Outcome], float]], ...]] = (
    ("changes per second", lambda outcome: outcome.per_second),
    ("99th percentile, ms", lambda outcome: outcome.p99_ms),
)


def draw(curves: Mapping[str, Sequence[Outcome]]) -> str:
    """Return the figure as SVG."""
    width = 2 * (_LEFT + _WIDTH) + _GAP
    height = _HEIGHT + 110
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {_FONT} role="img">',
        "<title>Many writers of one item</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, (title, value) in enumerate(_PANELS):
        parts += _panel(_LEFT + number * (_WIDTH + _GAP), title, curves, value)
    for number, name in enumerate(curves):
        x = _LEFT + number * 220
        parts.append(
            f'<rect x="{x}" y="{_HEIGHT + 84}" width="12" height="12" fill="{_COLOURS[number]}"/>'
        )
        parts.append(f'<text x="{x + 18}" y="{_HEIGHT + 95}">{escape(name)}</text>')
    return "\n".join((*parts, "</svg>", ""))


def _panel(
    left: float,
    title: str,
    curves: Mapping[str, Sequence[Outcome]],
    value: Callable[[Outcome], float],
) -> list[str]:
    outcomes = [outcome for curve in curves.values() for outcome in curve]
    logs = [log10(max(value(outcome), _MINIMUM)) for outcome in outcomes]
    lowest = floor(min(logs))
    highest = max(ceil(max(logs)), lowest + 1)
    widest = max(log2(outcome.writers) for outcome in outcomes) or 1
    bottom = _TOP + _HEIGHT

    def height(number: float) -> float:
        fraction = (log10(max(number, _MINIMUM)) - lowest) / (highest - lowest)
        return bottom - fraction * _HEIGHT

    def position(outcome: Outcome) -> tuple[float, float]:
        return left + log2(outcome.writers) / widest * _WIDTH, height(value(outcome))

    parts = [
        f'<text x="{left}" y="{_TOP - 14}">{escape(title)}</text>',
        f'<path d="M{left} {_TOP}V{bottom}H{left + _WIDTH}" fill="none" stroke="#999"/>',
        f'<text x="{left + _WIDTH / 2}" y="{bottom + 34}" text-anchor="middle">writers</text>',
    ]
    for power in range(lowest, highest + 1):
        y = height(10.0**power)
        parts.append(f'<path d="M{left} {y:.1f}H{left + _WIDTH}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:,g}</text>'
        )
    for writers in sorted({outcome.writers for outcome in outcomes}):
        x = left + log2(writers) / widest * _WIDTH
        parts.append(f'<text x="{x:.0f}" y="{bottom + 16}" text-anchor="middle">{writers}</text>')
    for curve, colour in zip(curves.values(), _COLOURS, strict=False):
        points = " ".join("{:.1f},{:.1f}".format(*position(outcome)) for outcome in curve)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
    return parts
