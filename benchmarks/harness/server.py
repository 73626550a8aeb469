"""One server of the comparison from its start to its end."""

import http.client
import math
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import client, protocols
from .peers import BENCHMARKS, REPOSITORY, Peer, fill
from .tree import Memory, Tree

START_SECONDS = 60.0
PREPARE_SECONDS = 180.0

# One thread per scoring call, for all: with many callers more threads cost more than they give.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

Case = dict[str, Any]  # {"row": {name: value}, "answer": number}
Works = dict[str, list[Case]]


class StartError(Exception):
    """A server did not start or answered wrongly; the message is the reason for the report."""


@dataclass
class Server:
    """A started peer: one tree, or one per work when it serves one model per process."""

    peer: Peer
    trees: list[Tree]
    ports: dict[str, int]
    start_seconds: float = 0.0
    requests: dict[str, Path] = field(default_factory=dict)

    def cpu_seconds(self, look_for_new: bool = True) -> float:
        """Return the CPU time of all its processes so far."""
        return sum(tree.cpu_seconds(look_for_new) for tree in self.trees)

    def memory(self) -> Memory:
        """Return the memory of all its processes."""
        memories = [tree.memory() for tree in self.trees]
        return Memory(sum(memory.rss for memory in memories), sum(memory.pss for memory in memories))

    def pin(self, cpus: set[int]) -> None:
        """Let it run on *cpus* only."""
        for tree in self.trees:
            tree.pin(cpus)

    def stop(self) -> None:
        """End all its processes."""
        for tree in self.trees:
            tree.stop()


@contextmanager
def running(peer: Peer, binaries: Path, work: Path, works: Works, cpus: set[int]) -> Iterator[Server]:
    """Start *peer* on *cpus*, wait for its first right answers, and end it at the exit.

    Raises:
        StartError: It failed to prepare, to start, or to answer rightly.
    """
    state = work / "state" / peer.name
    short = Path(tempfile.mkdtemp(prefix="bench-"))  # for sockets, whose paths may have 107 bytes at most
    server = Server(peer, [], {})
    try:
        state.mkdir(parents=True, exist_ok=True)
        values = {
            "bin": str(binaries),
            "state": str(state),
            "short_state": str(short),
            "models": str(work / "models"),
            "benchmarks": str(BENCHMARKS),
            "repository": str(REPOSITORY),
            "path": os.environ.get("PATH", ""),
        }
        _prepare(peer, values)
        _start(server, values, work, works, cpus)
        for name, rows in works.items():
            server.requests[name] = work / "requests" / f"{peer.name}-{name}"
            client.write_requests(server.requests[name], _learn(peer, server.ports[name], name, rows))
        yield server
    finally:
        server.stop()
        shutil.rmtree(short, ignore_errors=True)


def environment(peer: Peer, values: dict[str, str]) -> dict[str, str]:
    """Return what *peer* is started with: a few variables of the caller, the common ones, and its own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    common = {"PYTHONPATH": str(BENCHMARKS), "MODELS": values["models"], "PORT": values.get("port", "0")}
    own = {name: fill(value, values) for name, value in peer.environment.items()}
    return kept | ONE_THREAD | common | own


def _prepare(peer: Peer, values: dict[str, str]) -> None:
    if not peer.prepare:
        return
    done = subprocess.run(
        [fill(part, values) for part in peer.prepare],
        cwd=peer.folder,
        env=environment(peer, values),
        capture_output=True,
        text=True,
        timeout=PREPARE_SECONDS,
        check=False,
    )
    if done.returncode:
        raise StartError(f"prepare failed: {_last_line(done.stderr)}")


def _start(server: Server, values: dict[str, str], work: Path, works: Works, cpus: set[int]) -> None:
    """Start one tree for all works, or one after another; the start-up time is the mean of their starts."""
    peer = server.peer
    groups = [[name] for name in works] if peer.one_server_per_work else [list(works)]
    took = []
    for group in groups:
        ports = {key: str(free_port()) for key in ("port", "port_2", "port_3")}
        local = values | ports | {"work": group[0]}
        log = work / "logs" / f"{peer.name}.log"
        began = time.monotonic()
        command = [fill(part, local) for part in peer.command]
        tree = Tree(command, environment(peer, local), peer.folder, log, cpus)
        server.trees.append(tree)
        for name in group:
            server.ports[name] = int(ports["port"])
            _await_answer(peer, tree, server.ports[name], name, works[name][0], log)
        took.append(time.monotonic() - began)
    server.start_seconds = sum(took) / len(took)


def _await_answer(peer: Peer, tree: Tree, port: int, work: str, row: Case, log: Path) -> None:
    """Ask for one row until the answer is right."""
    deadline = time.monotonic() + START_SECONDS
    seen = "no answer"
    while time.monotonic() < deadline:
        try:
            answer = ask(port, peer.path.replace("{work}", work), protocols.body(peer.protocol, row["row"]))
            if math.isclose(protocols.prediction(peer.protocol, answer), row["answer"], rel_tol=1e-9):
                return
            seen = f"a wrong answer: {answer[:200]!r}"
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            seen = f"{type(error).__name__}: {error}"
        if not tree.is_running():
            raise StartError(
                f"it ended with {tree.root.returncode}: {_last_line(log.read_text(errors='replace'))}"
            )
        time.sleep(0.01)
    raise StartError(
        f"{work}: {seen} after {START_SECONDS:.0f} s: {_last_line(log.read_text(errors='replace'))}"
    )


def _learn(peer: Peer, port: int, work: str, rows: list[Case]) -> list[tuple[bytes, bytes]]:
    """Ask for every row once, check the number, and keep how this server spells it."""
    path = peer.path.replace("{work}", work)
    learned = []
    for row in rows:
        body = protocols.body(peer.protocol, row["row"])
        answer = ask(port, path, body)
        value = protocols.prediction(peer.protocol, answer)
        if not math.isclose(value, row["answer"], rel_tol=1e-9):
            raise StartError(f"{work}: predicted {value}, right is {row['answer']}")
        learned.append((protocols.request(path, body), protocols.spelling(answer, value)))
    return learned


def ask(port: int, path: str, body: bytes | None = None) -> bytes:
    """Return the body of one 200 answer: to a POST, or to a GET when there is no *body*.

    Raises:
        OSError: No connection, or another status.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        method = "GET" if body is None else "POST"
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise OSError(f"status {response.status}: {answer[:200]!r}")
        return answer
    finally:
        connection.close()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no output"
