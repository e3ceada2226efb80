"""The few shapes that our charts are drawn with: axes, marks and texts as inline SVG.

Colours are CSS classes (a0, a1, ... by arm) so that one page serves light, dark and print. Each arm has a shape of its
own as well, so that nothing rests on colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

NUM_COLOURS = 6


@dataclass(frozen=True)
class Scale:
    """Maps values low..high to pixels start..end, linearly or by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        low, high, at = (math.log10(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round numbers within the scale: about five, or 1-2-5 steps of a logarithmic one."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            return [m * 10.0**d for d in decades for m in (1, 2, 5) if self.low <= m * 10.0**d <= self.high]
        rough = (self.high - self.low) / 5.0
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def padded(values: Iterable[float], share: float = 0.06) -> tuple[float, float]:
    """Low and high of a scale that leaves room around the values."""
    known = list(values)
    low, high = min(known), max(known)
    room = share * (high - low) or max(abs(high) * share, 1e-6)
    return low - room, high + room


def log_padded(values: Iterable[float]) -> tuple[float, float]:
    """The same for positive values on a logarithmic scale, with room on both sides."""
    known = list(values)
    return min(known) / 1.6, max(known) * 1.6


def colour(place: int) -> str:
    """CSS class of an arm."""
    return f"a{place % NUM_COLOURS}"


def mark(place: int, x: float, y: float, size: float = 5.0) -> Markup:
    """The arm's own shape: disc, square, triangle or diamond."""
    s = size
    match place % 4:
        case 0:
            shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{s:.1f}"'
        case 1:
            shape = f'<rect x="{x - s:.1f}" y="{y - s:.1f}" width="{2 * s:.1f}" height="{2 * s:.1f}"'
        case 2:
            shape = f'<path d="M{x:.1f} {y - 1.2 * s:.1f}l{1.2 * s:.1f} {2.1 * s:.1f}h{-2.4 * s:.1f}z"'
        case _:
            shape = f'<path d="M{x:.1f} {y - 1.3 * s:.1f}l{1.3 * s:.1f} {1.3 * s:.1f}l{-1.3 * s:.1f} {1.3 * s:.1f}'
            shape += f'l{-1.3 * s:.1f} {-1.3 * s:.1f}z"'
    return Markup(f'{shape} class="mark {colour(place)}"/>')


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line of a CSS class."""
    return Markup(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> Markup:
    """Escaped words at a place."""
    return Markup(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>')


def drawing(width: float, height: float, title: str, parts: Iterable[Markup], *, wide: bool = False) -> Markup:
    """The finished SVG, a wide one half as large again where there is room; the title is what a screen reader says."""
    kind = "chart wide" if wide else "chart"
    head = f'<svg viewBox="0 0 {width:.0f} {height:.0f}" class="{kind}" role="img">'
    return Markup(head) + Markup(f"<title>{escape(title)}</title>") + Markup("").join(parts) + Markup("</svg>")


def bottom_axis(scale: Scale, top: float, bottom: float, name: str, form: Callable[[float], str]) -> list[Markup]:
    """Grid lines, numbers and a name below."""
    parts = [line(scale(tick), top, scale(tick), bottom, "grid") for tick in scale.ticks()]
    parts += [text(scale(tick), bottom + 14, form(tick), "tick", "middle") for tick in scale.ticks()]
    return [*parts, text((scale.start + scale.end) / 2, bottom + 28, name, "axis", "middle")]


def left_axis(scale: Scale, left: float, right: float, name: str, form: Callable[[float], str]) -> list[Markup]:
    """Grid lines, numbers and a name above."""
    parts = [line(left, scale(tick), right, scale(tick), "grid") for tick in scale.ticks()]
    parts += [text(left - 8, scale(tick) + 4, form(tick), "tick", "end") for tick in scale.ticks()]
    return [*parts, text(left, scale.end - 12, name, "axis")]
