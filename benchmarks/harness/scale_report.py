"""Write the scale curves down: `SCALE.md` and its picture."""

from collections.abc import Callable, Iterable
from statistics import median

from . import svg
from .curves import Point, Points, Scale
from .report import spread, table

Series = tuple[str, str, list[tuple[float, float]]]

PANEL, GAP, TOP, PLOT, LEFT = 300, 84, 84, 220, 66
BLUE, ORANGE, GREEN = "#0b5cad", "#a3531b", "#2b7a3d"


def render(scale: Scale, points: Points, facts: dict[str, str], command: str) -> str:
    """Return the whole of `SCALE.md`."""
    introduction = (
        f"Measured with `{command}`; [README.md](README.md) says how."
        f" {scale.rounds} round{'s' * (scale.rounds > 1)}, every round with servers of its own,"
        " on one CPU; figures are the median (least to most)."
    )
    parts = ["# How this server scales", introduction, table(["", ""], [[k, v] for k, v in facts.items()])]
    parts += ["![Scale curves](scale.svg)", "## Models", _models_text(), _models(points.models)]
    parts += ["## Connections", "Arithmetic, every connection always busy.", _connections(points.connections)]
    parts += ["## Body size", "A list of numbers in, its length out; 16 connections.", _bodies(points.bodies)]
    errors = [_error(point) for point in points.connections + points.bodies if point["errors"]]
    parts += ["## Errors", "\n".join(errors) or "No answer was wrong or missing."]
    return "\n\n".join(parts) + "\n"


def _error(point: Point) -> str:
    where = (
        f"{point['connections']} connections" if "connections" in point else f"{point['body_bytes']} bytes"
    )
    good = f"{point['errors']:,} wrong or missing beside {point['requests']:,} right answers"
    return f"- {where}, round {point['round'] + 1}: {good}: {point['first_error'][:80]}"


def _models_text() -> str:
    return (
        "Light models in a git-sync checkout: a link to a worktree named by its commit id, flipped in one rename."
        " *Ready* is the time from the command to `/readyz` 200, all models loaded and nothing kept from before;"
        " *unchanged commit* the time from a flip that changes no content until the models name the new revision"
        " (the scan of the whole checkout); *changed model* the time from a flip that changes one model until that"
        " model answers with it."
    )


def _models(points: list[Point]) -> str:
    rows = []
    for count, found in _grouped(points, "models"):
        pss = [point["pss"] / 2**20 for point in found]
        rows.append(
            [
                f"{count:,}",
                _of(found, "ready_seconds", 2),
                _of(found, "scan_seconds", 3),
                _of(found, "reload_seconds", 3),
                spread(sorted(pss), 1),
                spread(sorted(point["pss_after"] / 2**20 for point in found), 1),
                spread(sorted(point["idle_cpu"] * 100 for point in found), 2),
            ]
        )
    head = [
        "models",
        "ready s",
        "unchanged commit s",
        "changed model s",
        "PSS MiB",
        "after both",
        "CPU % when idle",
    ]
    return table(head, rows)


def _connections(points: list[Point]) -> str:
    rows = []
    for count, found in _grouped(points, "connections"):
        row = [f"{count:,}", *(_of(found, key) for key in ("cpu_us", "rate", "p50_ms", "p99_ms"))]
        row += [_of(found, "starved", 0), spread(sorted(point["pss"] / 2**20 for point in found), 1)]
        rows.append(row)
    head = [
        "connections",
        "CPU µs per request",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "without an answer",
        "PSS MiB",
    ]
    return table(head, rows)


def _bodies(points: list[Point]) -> str:
    rows = [
        [f"{size:,}", *(_of(found, key) for key in ("cpu_us", "rate", "p50_ms", "p99_ms"))]
        for size, found in _grouped(points, "body_bytes")
    ]
    return table(["body bytes", "CPU µs per request", "requests/s", "p50 ms", "p99 ms"], rows)


def draw(points: Points) -> str:
    """Return the picture of `SCALE.md`."""
    seconds: list[Series] = [
        ("ready", BLUE, _line(points.models, "models", "ready_seconds")),
        ("unchanged commit", ORANGE, _line(points.models, "models", "scan_seconds")),
        ("changed model", GREEN, _line(points.models, "models", "reload_seconds")),
    ]
    latency: list[Series] = [
        ("p99", ORANGE, _line(points.connections, "connections", "p99_ms")),
        ("p50", BLUE, _line(points.connections, "connections", "p50_ms")),
    ]
    bodies: list[Series] = [("", BLUE, _line(points.bodies, "body_bytes", "cpu_us"))]
    panels = [
        _panel(0, "seconds, by number of models", seconds),
        _panel(1, "milliseconds, by connections", latency),
        _panel(2, "CPU µs per request, by body bytes", bodies),
    ]
    title = svg.text(20, 30, "How this server scales", size=18, weight="600")
    below = svg.text(20, 51, "one CPU; medians; both axes logarithmic", svg.MUTED)
    width = LEFT + 3 * PANEL + 2 * GAP + 30
    return svg.page(width, TOP + PLOT + 72, [title, below, *(part for panel in panels for part in panel)])


def _panel(number: int, title: str, series: list[Series]) -> list[str]:
    left = LEFT + number * (PANEL + GAP)
    xs = [x for _, _, line in series for x, _ in line]
    ys = [y for _, _, line in series for _, y in line]
    if not xs:
        return []
    across = svg.Scale(left, left + PANEL - 10, min(xs) / 1.3, max(xs) * 1.3)
    up = svg.Scale(TOP + PLOT, TOP + 10, min(ys) / 1.6, max(ys) * 1.6)
    parts = [svg.text(left, TOP - 8, title, weight="600")]
    for value in across.ticks():
        parts.append(svg.line(across.at(value), TOP, across.at(value), TOP + PLOT))
        where = (across.at(value), TOP + PLOT + 16)
        parts.append(svg.text(*where, svg.short(value), svg.MUTED, anchor="middle", size=11))
    for value in up.ticks():
        parts.append(svg.line(left, up.at(value), left + PANEL, up.at(value)))
        parts.append(svg.text(left - 6, up.at(value) + 4, svg.short(value), svg.MUTED, anchor="end", size=11))
    x = left + 8.0
    for name, colour, line in series:
        parts += _curve(across.at, up.at, colour, line)
        if name:
            parts.append(svg.dot(x, TOP + PLOT + 40, colour, colour, 4))
            parts.append(svg.text(x + 10, TOP + PLOT + 44, name, svg.MUTED, size=12))
            x += 36 + 6.4 * len(name)
    return parts


def _curve(
    x: Callable[[float], float], y: Callable[[float], float], colour: str, line: list[tuple[float, float]]
) -> list[str]:
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    return parts + [svg.dot(x(a), y(b), colour, colour, 3) for a, b in line]


def _line(points: list[Point], by: str, key: str) -> list[tuple[float, float]]:
    return [(value, median(point[key] for point in found)) for value, found in _grouped(points, by)]


def _grouped(points: list[Point], key: str) -> Iterable[tuple[int, list[Point]]]:
    for value in sorted({point[key] for point in points}):
        yield value, [point for point in points if point[key] == value]


def _of(points: list[Point], key: str, digits: int | None = None) -> str:
    return spread(sorted(point[key] for point in points), digits)
