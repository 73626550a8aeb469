"""Draw the comparison as an SVG by hand: one panel a work, one row a server, CPU time on a logarithmic axis."""

from statistics import median

from . import svg
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
OURS, PEER, CONTROL, EMPTY = "#0b5cad", "#a3531b", svg.MUTED, "#ffffff"


def draw(plan: Plan, results: Results) -> str:
    """Return the picture of `RESULTS.md`."""
    peers = order(plan, results)
    most = plan.connections[-1]
    width = LABELS + len(plan.works) * (PANEL + GAP) + 26
    height = TOP + len(peers) * ROW + BOTTOM
    parts = [_titles(plan, most), *(_label(peer, at) for at, peer in enumerate(peers))]
    for number, work in enumerate(plan.works):
        found = [figures(results.cells, "cpu_us", peer.name, work, most) for peer in peers]
        parts += _panel(LABELS + number * (PANEL + GAP), work, peers, found)
    return svg.page(width, height, [*parts, _key(height)])


def _titles(plan: Plan, connections: int) -> str:
    rounds = f"median of {plan.rounds} round{'s' * (plan.rounds > 1)} (bar: least to most)"
    below = f"{connections} connections, one CPU; {rounds}; logarithmic axes, further left is better"
    title = svg.text(20, 30, "CPU time per request in microseconds", size=18, weight="600")
    return title + svg.text(20, 51, below, svg.MUTED)


def _label(peer: Peer, at: int) -> str:
    weight = "600" if peer.role == "ours" else "400"
    return svg.text(LABELS - 16, _y(at) + 4.5, peer.title, _colour(peer), anchor="end", weight=weight)


def _panel(left: float, work: str, peers: list[Peer], found: list[list[float]]) -> list[str]:
    values = [value for figure in found for value in figure]
    if not values:
        return []
    scale = svg.Scale(left, left + PANEL, min(values) / 1.25, max(values) * 1.9)
    bottom = _y(len(peers) - 1) + ROW / 2
    parts = [svg.text(left, TOP - 18, TITLES.get(work, work), weight="600")]
    for value in scale.ticks():
        x = scale.at(value)
        parts.append(svg.line(x, TOP - 8, x, bottom))
        parts.append(svg.text(x, bottom + 16, svg.short(value), svg.MUTED, anchor="middle", size=11))
    for at, (peer, figure) in enumerate(zip(peers, found, strict=True)):
        parts.append(_mark(scale, peer, figure, _y(at)))
    return parts


def _mark(scale: svg.Scale, peer: Peer, figure: list[float], y: float) -> str:
    if not figure:
        return svg.text(scale.start, y + 4.5, "failed", svg.MUTED)
    x, colour = scale.at(median(figure)), _colour(peer)
    low, high = scale.at(figure[0]), scale.at(figure[-1])
    fill = EMPTY if peer.role in ("limit", "control") else colour
    value = svg.text(max(x, high) + 10, y + 4, f"{median(figure):,.0f}", colour, size=12)
    return svg.line(low, y, high, y, colour, 3, 0.45) + svg.dot(x, y, fill, colour) + value


def _key(height: float) -> str:
    marks = [(OURS, OURS, "this server"), (PEER, PEER, "other servers")]
    marks += [(EMPTY, PEER, "limits: bare callables, compiled servers"), (EMPTY, CONTROL, "control")]
    parts, x, y = [], 26.0, height - 18
    for fill, stroke, words in marks:
        parts.append(svg.dot(x, y - 4, fill, stroke) + svg.text(x + 12, y, words, svg.MUTED, size=12))
        x += 46 + 6.4 * len(words)
    return "".join(parts)


def _colour(peer: Peer) -> str:
    return {"ours": OURS, "control": CONTROL}.get(peer.role, PEER)


def _y(at: int) -> float:
    return TOP + at * ROW + ROW / 2
