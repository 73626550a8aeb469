"""Measure the cells of the comparison, each beside the control's.

Every round starts every server anew. The servers of a group run at the same time and take turns cell by cell
with the control, so that what disturbs the machine disturbs all of them; ratios are formed within a round.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import client, machine, venvs
from .peers import BENCHMARKS, CONTROL, Peer, read
from .server import Server, StartError, Works, running
from .tree import adopt_orphans, end_on_sigterm

IDLE_SECONDS = 1.0
GROUP = 5
TWO_CPU_CONNECTIONS = 64
SLOW = 2

# A virtual machine may stand still for longer than a cell takes: with fewer answers than ENOUGH per connection,
# those under way at both ends would count for too much, and the cell is measured once more, AGAIN times as long.
ENOUGH = 2
AGAIN = 3

Cell = dict[str, Any]


@dataclass
class Plan:
    """What is measured and for how long."""

    peers: list[Peer]
    works: list[str]
    connections: list[int]
    rounds: int
    seconds: float  # a work that takes milliseconds is measured for SLOW times as long: see `_seconds`
    warmup: float
    two_cpus: bool
    work: Path


@dataclass
class Results:
    """What was measured; every item is one JSON object."""

    cells: list[Cell] = field(default_factory=list)
    starts: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)


class Comparison:
    """One run of a plan."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.results = Results()
        self._binaries: dict[str, Path] = {}
        self._one, self._two, client_cpus = machine.cpu_plan()
        os.sched_setaffinity(0, client_cpus)  # the load generator inherits it
        adopt_orphans()
        end_on_sigterm()

    def run(self) -> Results:
        """Install, train, and measure all rounds."""
        self._load = client.build(self.plan.work)
        self._install()
        self._works = train(self._binaries[CONTROL], self.plan.work)
        for number in range(self.plan.rounds):
            for group in self._groups(number):
                self._measure_group(number, group)
        return self.results

    def _install(self) -> None:
        for peer in [read(CONTROL), *self.plan.peers]:
            requirements = peer.folder / "requirements.txt"
            try:
                binaries = venvs.ensure(peer.name, requirements, self.plan.work, peer.newest_python)
            except venvs.InstallError as error:
                if peer.name == CONTROL:
                    raise
                self._fail(peer, error)
                continue
            self._binaries[peer.name] = binaries
            self.results.versions[peer.name] = machine.versions(binaries)

    def _fail(self, peer: Peer, error: Exception) -> None:
        say(f"{peer.name}: {error}")
        self.results.failures.setdefault(peer.name, str(error))

    def _groups(self, number: int) -> Iterator[list[Peer]]:
        """Yield the peers that run side by side; the order turns with each round."""
        usable = [peer for peer in self.plan.peers if peer.name not in self.results.failures]
        together = [peer for peer in usable if not peer.alone]
        shift = number % max(1, len(together))
        together = together[shift:] + together[:shift]
        yield from (together[at : at + GROUP] for at in range(0, len(together), GROUP))
        yield from ([peer] for peer in usable if peer.alone)

    def _measure_group(self, number: int, group: list[Peer]) -> None:
        with ExitStack() as stack:
            servers = [s for peer in [read(CONTROL), *group] if (s := self._start(stack, peer))]
            starts = self._describe_starts(number, servers)
            for work in self.plan.works:
                for connections in self.plan.connections:
                    self._measure(number, servers, work, connections, self._one)
            for start, server in zip(starts, servers, strict=True):
                memory = server.memory()
                start |= {"rss": memory.rss, "pss": memory.pss}
            if self.plan.two_cpus:
                for server in servers:
                    server.pin(self._two)
                self._measure(number, servers, self.plan.works[0], TWO_CPU_CONNECTIONS, self._two)

    def _start(self, stack: ExitStack, peer: Peer) -> Server | None:
        starting = running(peer, self._binaries[peer.name], self.plan.work, self._works, self._one)
        try:
            return stack.enter_context(starting)
        except (StartError, OSError, ValueError, subprocess.SubprocessError) as error:
            self._fail(peer, error)
            return None

    def _describe_starts(self, number: int, servers: list[Server]) -> list[dict[str, Any]]:
        before = [server.cpu_seconds() for server in servers]
        time.sleep(IDLE_SECONDS)
        starts = []
        for server, cpu in zip(servers, before, strict=True):
            idle = (server.cpu_seconds() - cpu) / IDLE_SECONDS
            start = {
                "server": server.peer.name,
                "round": number,
                "seconds": server.start_seconds,
                "idle_cpu": idle,
            }
            self.results.starts.append(start)
            starts.append(start)
        return starts

    def _measure(
        self, number: int, servers: list[Server], work: str, connections: int, cpus: set[int]
    ) -> None:
        """Measure one cell of each server, the control's first."""
        control: Cell = {}
        for server in servers:
            cell = self._cell(server, work, connections)
            if cell.get("requests", 0) < ENOUGH * connections:
                cell = self._cell(server, work, connections, times=AGAIN) | {"again": True}
            if server.peer.name == CONTROL:
                control = cell
            cell |= {"round": number, "cpus": len(cpus)}
            cell |= {
                f"{key}_ratio": _ratio(cell, control, key) for key in ("cpu_us", "rate", "p50_ms", "p99_ms")
            }
            self.results.cells.append(cell)
        say(
            f"round {number + 1} {work} × {connections} on {len(cpus)} CPU: "
            + ", ".join(
                f"{cell['server']} {_show(cell['cpu_us'])}" for cell in self.results.cells[-len(servers) :]
            )
            + " µs"
        )

    def _seconds(self, work: str) -> float:
        """Return how long a cell is measured: what is under way at both ends must be a small part of it."""
        return self.plan.seconds * (SLOW if work == "forest" else 1)

    def _cell(self, server: Server, work: str, connections: int, times: int = 1) -> Cell:
        cell: Cell = {"server": server.peer.name, "work": work, "connections": connections}
        port, requests = server.ports[work], server.requests[work]
        server.cpu_seconds()
        try:
            load, cpu = client.run(
                self._load,
                port,
                connections,
                requests,
                self._seconds(work) * times,
                self.plan.warmup,
                server.cpu_seconds,
            )
        except (client.ClientError, subprocess.SubprocessError, ValueError) as error:
            return cell | {"error": str(error), "cpu_us": None, "rate": None, "p50_ms": None, "p99_ms": None}
        if not load.requests:
            reason = load.first_error or "no answer"
            return cell | {"error": reason, "cpu_us": None, "rate": None, "p50_ms": None, "p99_ms": None}
        return (
            cell
            | vars(load)
            | {
                "errors": load.errors,
                "cpu_us": cpu / load.requests * 1e6,
                "rate": load.requests / load.seconds,
            }
        )


def train(binaries: Path, work: Path) -> Works:
    """Return the works with their rows and right answers, trained once."""
    folder = work / "models"
    stamp = folder / "trained"
    sources = ("works.py", "scoring.py", "requirements-works.txt")
    wanted = hashlib.sha256(b"".join((BENCHMARKS / name).read_bytes() for name in sources)).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        say("training the models ...")
        subprocess.run([str(binaries / "python"), str(BENCHMARKS / "works.py"), str(folder)], check=True)
        stamp.write_text(wanted)
    works: Works = json.loads((folder / "works.json").read_text())
    return works


def say(text: str) -> None:
    """Tell the user how far it is."""
    print(text, file=sys.stderr, flush=True)


def _ratio(cell: Cell, control: Cell, key: str) -> float | None:
    mine, theirs = cell.get(key), control.get(key)
    return mine / theirs if mine is not None and theirs else None


def _show(value: float | None) -> str:
    return "failed" if value is None else f"{value:.0f}"
