"""The few SVG elements that both pictures are made of."""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

INK, MUTED, GRID = "#1b1f24", "#59636e", "#e4e7eb"


@dataclass(frozen=True)
class Scale:
    """A logarithmic axis from *start* to *end* on the page."""

    start: float
    end: float
    low: float
    high: float

    def at(self, value: float) -> float:
        """Return where *value* stands on the page."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Return 1, 2, 5, 10 ... within the axis, only powers of ten when there would be more than *most*."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        ticks = [float(f"{step}e{power}") for power in powers for step in (1, 2, 5)]
        inside = [tick for tick in ticks if self.low <= tick <= self.high]
        decades = [tick for tick in inside if math.isclose(math.log10(tick) % 1, 0, abs_tol=1e-9)]
        return decades if len(inside) > most and len(decades) > 1 else inside


def page(width: float, height: float, parts: list[str]) -> str:
    """Return the document, on white so that it reads on dark pages too."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="13">'
        f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def text(
    x: float,
    y: float,
    words: str,
    colour: str = INK,
    anchor: str = "start",
    size: int = 13,
    weight: str = "400",
) -> str:
    """Return one line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size}"'
        f' font-weight="{weight}">{escape(words)}</text>'
    )


def line(
    x1: float, y1: float, x2: float, y2: float, colour: str = GRID, width: float = 1, opacity: float = 1
) -> str:
    """Return a straight line."""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}" opacity="{opacity}"/>'


def dot(x: float, y: float, fill: str, stroke: str, radius: float = 5) -> str:
    """Return a circle."""
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" stroke="{stroke}" stroke-width="2"/>'
    )


def short(value: float) -> str:
    """Return a number as an axis writes it: 0.05, 20, 3,000, 1 M."""
    if value >= 1_000_000:
        return f"{value / 1_000_000:g} M"
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
