"""Write the comparison down: `RESULTS.md` and what the picture needs."""

from collections.abc import Iterable
from statistics import median
from typing import Any

from .compare import TWO_CPU_CONNECTIONS, Cell, Plan, Results
from .peers import CONTROL, Peer, read

Figures = list[float]

WORK_TITLES = {
    "arithmetic": "Arithmetic: the server alone",
    "lightgbm": "A LightGBM row (100 trees, 10 features)",
    "forest": "A scikit-learn forest row (100 trees)",
}


def order(plan: Plan, results: Results) -> list[Peer]:
    """Return the servers that were measured, the cheapest first by the first work at the most connections."""
    peers = [read(CONTROL), *plan.peers]

    def cost(peer: Peer) -> float:
        found = figures(results.cells, "cpu_us", peer.name, plan.works[0], plan.connections[-1])
        return median(found) if found else float("inf")

    measured = {cell["server"] for cell in results.cells}
    return sorted((peer for peer in peers if peer.name in measured), key=cost)


def figures(cells: list[Cell], key: str, server: str, work: str, connections: int, cpus: int = 1) -> Figures:
    """Return one figure of one cell over all rounds, ascending."""
    wanted = (server, work, connections, cpus)
    found = (
        cell for cell in cells if (cell["server"], cell["work"], cell["connections"], cell["cpus"]) == wanted
    )
    return sorted(cell[key] for cell in found if cell.get(key) is not None)


def render(plan: Plan, results: Results, facts: dict[str, str], command: str) -> str:
    """Return the whole of `RESULTS.md`."""
    peers = order(plan, results)
    parts = ["# Results", _introduction(plan, facts, command), "![CPU time per request](results.svg)"]
    for work in plan.works:
        parts += [f"## {WORK_TITLES[work]}", *_work(plan, results, peers, work)]
    if plan.two_cpus:
        parts += ["## One CPU and two", *_two_cpus(plan, results, peers)]
    parts += ["## Memory, start-up and idling", *_starts(results, peers)]
    parts += ["## Every cell", *_cells(plan, results, peers)]
    parts += ["## Errors", *_errors(results), "## Versions", *_versions(results, peers)]
    return "\n\n".join(parts) + "\n"


def _introduction(plan: Plan, facts: dict[str, str], command: str) -> str:
    lines = [
        f"Measured with `{command}`; [README.md](README.md) says how.",
        f"{plan.rounds} round{'s' * (plan.rounds > 1)} of {plan.seconds:g} s per cell, the forest twice as long,"
        f" {plan.warmup:g} s of warm-up before each;"
        " every figure is the median of the rounds, spreads are least to most.",
        "The server has CPU 0, the client the last CPU; one process answers, unless a server has a design of its own.",
        f"Ratios are to the control, {read(CONTROL).title}, measured next to each cell in the same round.",
    ]
    return "\n".join(lines) + "\n\n" + table(["", ""], [[name, value] for name, value in facts.items()])


def _work(plan: Plan, results: Results, peers: list[Peer], work: str) -> list[str]:
    most = plan.connections[-1]
    head = ["server"]
    head += [f"CPU µs per request, {count} conn." for count in plan.connections]
    head += [
        "ratio to the control",
        "this server / it",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "p99 / p50",
        "without an answer",
    ]
    rows = []
    for peer in peers:
        row = [_name(peer)]
        row += [
            _number(figures(results.cells, "cpu_us", peer.name, work, count)) for count in plan.connections
        ]
        row.append(spread(figures(results.cells, "cpu_us_ratio", peer.name, work, most), 2))
        row.append(_share(results, peer, work, most))
        row += [
            _number(figures(results.cells, key, peer.name, work, most))
            for key in ("rate", "p50_ms", "p99_ms")
        ]
        row += [_unfairness(results, peer, work, most), _starved(results, peer, work, most)]
        rows.append(row)
    text = f"From the ratio on, the columns are those at {most} connections; the last one counts connections that"
    return [f"{text} got no answer at all while it was measured.", table(head, rows)]


def _share(results: Results, peer: Peer, work: str, connections: int) -> str:
    """Return our CPU time as a part of the peer's, both by way of the control of their round."""

    def ratios(name: str) -> dict[int, float]:
        wanted = (name, work, connections, 1)
        cells = [c for c in results.cells if (c["server"], c["work"], c["connections"], c["cpus"]) == wanted]
        return {cell["round"]: cell["cpu_us_ratio"] for cell in cells if cell["cpu_us_ratio"]}

    ours, its = ratios("ours"), ratios(peer.name)
    found = [ours[number] / its[number] for number in ours if number in its]
    return f"{median(found):.2f}" if found else "-"


def _unfairness(results: Results, peer: Peer, work: str, connections: int) -> str:
    middle = figures(results.cells, "p50_ms", peer.name, work, connections)
    high = figures(results.cells, "p99_ms", peer.name, work, connections)
    return f"{median(high) / median(middle):.1f}" if middle and high else "-"


def _starved(results: Results, peer: Peer, work: str, connections: int) -> str:
    found = figures(results.cells, "starved", peer.name, work, connections)
    return f"{median(found):.0f}" if found else "-"


def _two_cpus(plan: Plan, results: Results, peers: list[Peer]) -> list[str]:
    work, rows = plan.works[0], []
    for peer in peers:
        one = figures(results.cells, "rate", peer.name, work, TWO_CPU_CONNECTIONS, 1)
        two = figures(results.cells, "rate", peer.name, work, TWO_CPU_CONNECTIONS, 2)
        cpu = figures(results.cells, "cpu_us", peer.name, work, TWO_CPU_CONNECTIONS, 2)
        high = figures(results.cells, "p99_ms", peer.name, work, TWO_CPU_CONNECTIONS, 2)
        gain = f"{median(two) / median(one):.2f}" if one and two else "-"
        rows.append([_name(peer), _number(one), _number(two), gain, spread(cpu, 0), _number(high)])
    head = [
        "server",
        "requests/s on one CPU",
        "on two",
        "two / one",
        "CPU µs per request on two",
        "p99 ms on two",
    ]
    text = (
        f"Arithmetic, {TWO_CPU_CONNECTIONS} connections, the same processes allowed on a second CPU."
        " On a machine with two CPUs the client shares the second one."
    )
    return [text, table(head, rows)]


def _starts(results: Results, peers: list[Peer]) -> list[str]:
    rows = []
    for peer in peers:
        starts = [start for start in results.starts if start["server"] == peer.name]
        pss = sorted(start["pss"] / 2**20 for start in starts if "pss" in start)
        rss = sorted(start["rss"] / 2**20 for start in starts if "rss" in start)
        seconds = sorted(start["seconds"] for start in starts)
        idle = sorted(start["idle_cpu"] * 100 for start in starts)
        rows.append(
            [_name(peer), spread(pss, 0), spread(rss, 0), spread(seconds, 2), spread(idle, 1), peer.note]
        )
    head = ["server", "PSS MiB", "RSS MiB", "start-up s", "CPU % when idle", ""]
    text = (
        "Memory is that of all processes after the load, with the three models and their libraries loaded;"
        " start-up is the time from the command to the first right answer of every work, on one CPU."
    )
    return [text, table(head, rows)]


def _cells(plan: Plan, results: Results, peers: list[Peer]) -> list[str]:
    rows = []
    for work in plan.works:
        for connections in plan.connections:
            for peer in peers:
                row = [work, str(connections), _name(peer)]
                for key, digits in (
                    ("cpu_us", None),
                    ("cpu_us_ratio", 2),
                    ("rate", None),
                    ("p50_ms", None),
                    ("p99_ms", None),
                ):
                    row.append(spread(figures(results.cells, key, peer.name, work, connections), digits))
                rows.append(row)
    head = ["work", "conn.", "server", "CPU µs per request", "ratio", "requests/s", "p50 ms", "p99 ms"]
    return [
        "Median (least to most) of the rounds.",
        "<details><summary>The table</summary>",
        table(head, rows),
        "</details>",
    ]


def _errors(results: Results) -> list[str]:
    measured = {cell["server"] for cell in results.cells}
    lines = [
        f"- {name}: {'given up' if name in measured else 'not measured'}: {reason}"
        for name, reason in results.failures.items()
    ]
    for cell in results.cells:
        where = f"{cell['server']}, {cell['work']} at {cell['connections']} connections, round {cell['round'] + 1}"
        if "error" in cell:
            lines.append(f"- {where}: {cell['error']}")
        elif cell["errors"]:
            lines.append(
                f"- {where}: {cell['errors']} of {cell['requests']} wrong: {cell['first_error'][:100]}"
            )
    answers = sum(cell.get("requests", 0) for cell in results.cells)
    return [
        f"{answers:,} answers were compared with the right prediction.",
        "\n".join(lines) or "None was wrong or missing.",
    ]


def _versions(results: Results, peers: Iterable[Peer]) -> list[str]:
    rows = []
    for peer in peers:
        installed = {name.lower(): version for name, version in results.versions[peer.name].items()}
        wanted = [*_named(peer), "numpy", "scikit-learn", "lightgbm"]
        parts = (f"{name} {installed[name]}" for name in dict.fromkeys(wanted) if name in installed)
        rows.append([_name(peer), ", ".join(parts)])
    return [table(["server", "versions"], rows)]


def _named(peer: Peer) -> list[str]:
    """Return the packages that matter to a reader: those that its own requirements name."""
    lines = (peer.folder / "requirements.txt").read_text().splitlines()
    packages = [line for line in lines if not line.startswith(("#", "-"))]
    return [package.split("=")[0].split("<")[0].split("[")[0].strip().lower() for package in packages]


def _name(peer: Peer) -> str:
    title = f"**{peer.title}**" if peer.role == "ours" else peer.title
    marks = {"control": " (control)", "limit": " (limit)"}
    return title + marks.get(peer.role, "")


def _digits(value: float) -> int:
    return 0 if value >= 100 else 1 if value >= 10 else 2


def _number(found: Figures) -> str:
    if not found:
        return "failed"
    middle = median(found)
    return f"{middle:,.{_digits(middle)}f}"


def spread(found: Figures, digits: int | None = None) -> str:
    """Return "median (least to most)" of ascending figures."""
    if not found:
        return "failed"
    places = _digits(median(found)) if digits is None else digits
    return f"{median(found):,.{places}f} ({found[0]:,.{places}f} to {found[-1]:,.{places}f})"


def table(head: list[str], rows: list[list[Any]]) -> str:
    """Return a Markdown table, all columns but the first to the right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
