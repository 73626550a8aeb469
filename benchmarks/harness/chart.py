"""Draw the comparison as an SVG by hand: one panel a work, one row a server, CPU time on a logarithmic axis."""

import math
from dataclasses import dataclass
from statistics import median
from xml.sax.saxutils import escape

from .compare import Plan, Results
from .peers import Peer
from .report import figures, order

ROW = 26
PANEL = 250
GAP = 34
LABELS = 250
TOP = 92
BOTTOM = 64

TITLES = {"arithmetic": "arithmetic", "lightgbm": "LightGBM row", "forest": "scikit-learn forest row"}
INK, MUTED, GRID, OURS, PEER, CONTROL = "#1b1f24", "#59636e", "#e4e7eb", "#0b5cad", "#a3531b", "#59636e"


@dataclass(frozen=True)
class _Scale:
    """A logarithmic axis of one panel."""

    left: float
    low: float
    high: float

    def x(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.left + share * PANEL


def draw(plan: Plan, results: Results) -> str:
    """Return the picture of `RESULTS.md`."""
    peers = order(plan, results)
    most = plan.connections[-1]
    width = LABELS + len(plan.works) * (PANEL + GAP) + 26
    height = TOP + len(peers) * ROW + BOTTOM
    parts = [_open(width, height), _titles(plan, most)]
    parts += [_label(peer, at) for at, peer in enumerate(peers)]
    for number, work in enumerate(plan.works):
        found = [figures(results.cells, "cpu_us", peer.name, work, most) for peer in peers]
        parts += _panel(LABELS + number * (PANEL + GAP), work, peers, found)
    parts += [_key(height), "</svg>"]
    return "\n".join(parts) + "\n"


def _open(width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="13">'
        f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>'
    )


def _titles(plan: Plan, connections: int) -> str:
    rounds = f"median of {plan.rounds} round{'s' * (plan.rounds > 1)} (bar: least to most)"
    text = f"{connections} connections, one CPU; {rounds}; logarithmic axes, further left is better"
    return _text(20, 30, "CPU time per request in microseconds", size=18, weight="600") + _text(
        20, 51, text, MUTED
    )


def _label(peer: Peer, at: int) -> str:
    weight = "600" if peer.role == "ours" else "400"
    return _text(LABELS - 16, _y(at) + 4.5, peer.title, _colour(peer), anchor="end", weight=weight)


def _panel(left: float, work: str, peers: list[Peer], found: list[list[float]]) -> list[str]:
    values = [value for figure in found for value in figure]
    if not values:
        return []
    scale = _Scale(left, min(values) / 1.25, max(values) * 1.9)
    bottom = _y(len(peers) - 1) + ROW / 2
    parts = [_text(left, TOP - 18, TITLES.get(work, work), weight="600")]
    parts += [_tick(scale, value, bottom) for value in _ticks(scale)]
    for at, (peer, figure) in enumerate(zip(peers, found, strict=True)):
        parts.append(_mark(scale, peer, figure, _y(at)))
    return parts


def _ticks(scale: _Scale) -> list[float]:
    """Return 1, 2, 5, 10 ... within the axis, thinned to what has room."""
    powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    inside = [tick for tick in ticks if scale.low <= tick <= scale.high]
    decades = [tick for tick in inside if math.log10(tick).is_integer()]
    return decades if len(inside) > 6 and len(decades) > 1 else inside


def _tick(scale: _Scale, value: float, bottom: float) -> str:
    x = scale.x(value)
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{bottom:.1f}" stroke="{GRID}"/>'
    return line + _text(x, bottom + 16, f"{value:,.0f}", MUTED, anchor="middle", size=11)


def _mark(scale: _Scale, peer: Peer, figure: list[float], y: float) -> str:
    if not figure:
        return _text(scale.left, y + 4.5, "failed", MUTED)
    x, colour = scale.x(median(figure)), _colour(peer)
    fill = "#ffffff" if peer.role in ("limit", "control") else colour
    low, high = scale.x(figure[0]), scale.x(figure[-1])
    return (
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3" opacity="0.45"/>'
        f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="{fill}" stroke="{colour}" stroke-width="2"/>'
        + _text(max(x, high) + 10, y + 4, f"{median(figure):,.0f}", colour, size=12)
    )


def _key(height: float) -> str:
    y = height - 18
    marks = [(OURS, OURS, "this server"), (PEER, PEER, "other servers")]
    marks += [("#ffffff", PEER, "limits: bare callables, compiled servers"), ("#ffffff", CONTROL, "control")]
    parts, x = [], 26
    for fill, stroke, text in marks:
        parts.append(
            f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{fill}" stroke="{stroke}" stroke-width="2"/>'
        )
        parts.append(_text(x + 12, y, text, MUTED, size=12))
        x += 46 + 6.4 * len(text)
    return "".join(parts)


def _colour(peer: Peer) -> str:
    return {"ours": OURS, "control": CONTROL}.get(peer.role, PEER)


def _y(at: int) -> float:
    return TOP + at * ROW + ROW / 2


def _text(
    x: float,
    y: float,
    text: str,
    colour: str = INK,
    anchor: str = "start",
    size: int = 13,
    weight: str = "400",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size}"'
        f' font-weight="{weight}">{escape(text)}</text>'
    )
