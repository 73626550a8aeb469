"""Measure how this server scales: with models, with connections, with the size of a body."""

import http.client
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import client, protocols
from .peers import BENCHMARKS, REPOSITORY, fill, read
from .server import StartError, ask, environment, free_port
from .tree import Tree
from .worlds import COUNTING_MODEL, World, light_models, model_name

READY_SECONDS = 120.0
RELOAD_SECONDS = 60.0
BODY_CONNECTIONS = 16
BASE = "/models_serve"
ROW = {"a": 2.5, "b": 3.0, "c": 1.25}
ANSWER = b"8.75"

Point = dict[str, Any]


@dataclass
class Scale:
    """What is measured, where, and for how long."""

    models: list[int]
    connections: list[int]
    bodies: list[int]
    rounds: int
    seconds: float
    work: Path
    binaries: Path
    load: Path
    cpus: set[int]


@dataclass
class Points:
    """What was measured; every item is one JSON object with its `round`."""

    models: list[Point] = field(default_factory=list)
    connections: list[Point] = field(default_factory=list)
    bodies: list[Point] = field(default_factory=list)


@dataclass
class Running:
    """The server, ready."""

    tree: Tree
    port: int
    ready_seconds: float


def measure(scale: Scale, say: Callable[[str], None]) -> Points:
    """Return all points of all curves."""
    points = Points()
    for number in range(scale.rounds):
        for count in scale.models:
            points.models.append(_models(scale, count) | {"round": number})
            say(f"round {number + 1}: {points.models[-1]}")
        with _world(scale, light_models(1, 0)) as (_, running):
            for count in scale.connections:
                points.connections.append(_connections(scale, running, count) | {"round": number})
                say(f"round {number + 1}: {points.connections[-1]}")
        with _world(scale, {"counting/etls.py": COUNTING_MODEL}) as (_, running):
            for size in scale.bodies:
                points.bodies.append(_bodies(scale, running, size) | {"round": number})
                say(f"round {number + 1}: {points.bodies[-1]}")
    return points


@contextmanager
def _world(scale: Scale, files: dict[str, str]) -> Iterator[tuple[World, Running]]:
    """Serve *files* as the first commit of a new checkout, without anything kept from before."""
    world = World(scale.work / "scale" / "checkout")
    worktree, _ = world.commit(files)
    world.flip(worktree)
    with _serving(scale, world) as running:
        yield world, running


@contextmanager
def _serving(scale: Scale, world: World) -> Iterator[Running]:
    peer = read("ours")
    state = world.root.parent / "kept"
    shutil.rmtree(state, ignore_errors=True)
    peer = replace(
        peer, environment=peer.environment | {"MODELS_DIR": str(world.link), "STATE_DIR": str(state)}
    )
    values = {
        "bin": str(scale.binaries),
        "benchmarks": str(BENCHMARKS),
        "repository": str(REPOSITORY),
        "models": "",
        "port": str(free_port()),
    }
    command = [fill(part, values) for part in peer.command]
    began = time.monotonic()
    tree = Tree(
        command, environment(peer, values), peer.folder, scale.work / "logs" / "scale.log", scale.cpus
    )
    try:
        running = Running(tree, int(values["port"]), 0.0)
        _until(READY_SECONDS, "/readyz to answer 200", lambda: _get(running, "/readyz") is not None)
        running.ready_seconds = time.monotonic() - began
        yield running
    finally:
        tree.stop()


def _models(scale: Scale, count: int) -> Point:
    """Start with *count* models, then let a commit change nothing, then let one change one model."""
    with _world(scale, light_models(count, 0)) as (world, running):
        status = _status(running)
        serving = sum(model["status"] == "serving" for model in status["models"])
        if len(status["models"]) != count or any(model["error"] for model in status["models"]):
            raise StartError(f"{serving} of {count} models serve: {str(status)[:300]}")
        cpu = running.tree.cpu_seconds()
        time.sleep(1.0)
        idle = running.tree.cpu_seconds() - cpu
        memory = running.tree.memory()
        return {
            "models": count,
            "ready_seconds": running.ready_seconds,
            "pss": memory.pss,
            "idle_cpu": idle,
            "scan_seconds": _scan(world, running, count),
            "reload_seconds": _reload(world, running, count),
            "pss_after": running.tree.memory().pss,
        }


def _scan(world: World, running: Running, count: int) -> float:
    """Return how long a commit that changes no content takes until a model names it as its revision."""
    worktree, revision = world.commit(light_models(count, 0))
    last = f"{BASE}/{model_name(count - 1)}"
    began = time.monotonic()
    world.flip(worktree)

    def is_named() -> bool:
        return _revision(running, last) == revision

    _until(RELOAD_SECONDS, f"the last model to name {revision}", is_named, pause=0.005)
    took = time.monotonic() - began
    _until(1.0, f"every model to name {revision}", lambda: _revisions(running) == {revision})
    return took


def _reload(world: World, running: Running, count: int) -> float:
    """Return how long a commit that changes one model takes until that model answers with its new content."""
    worktree, _ = world.commit(light_models(count, edition=1, changed=1))
    row = protocols.body("variables", ROW)
    began = time.monotonic()
    world.flip(worktree)

    def is_new() -> bool:
        return bool(json.loads(ask(running.port, f"{BASE}/{model_name(0)}", row))["edition"] == 1)

    _until(RELOAD_SECONDS, "the changed model to answer", is_new, pause=0.005)
    return time.monotonic() - began


def _connections(scale: Scale, running: Running, count: int) -> Point:
    request = protocols.request(f"{BASE}/{model_name(0)}", protocols.body("variables", ROW))
    point = _load(scale, running, request, ANSWER, count)
    return {"connections": count, "pss": running.tree.memory().pss} | point


def _bodies(scale: Scale, running: Running, size: int) -> Point:
    body = _body_of(size)
    count = len(json.loads(body)["variables"]["values"])
    request = protocols.request(f"{BASE}/counting", body)
    return {"body_bytes": len(body)} | _load(scale, running, request, str(count).encode(), BODY_CONNECTIONS)


def _body_of(size: int) -> bytes:
    """Return a body of about *size* bytes: a list of numbers with six digits each."""
    frame = len(json.dumps({"variables": {"values": []}}))
    values = [round(1 + (number * 0.618034) % 8, 5) for number in range((size - frame) // 9)]
    return json.dumps({"variables": {"values": values}}).encode()


def _load(scale: Scale, running: Running, request: bytes, expected: bytes, connections: int) -> Point:
    requests = scale.work / "requests" / "scale"
    client.write_requests(requests, [(request, expected)])
    running.tree.pids()
    load, cpu = client.run(
        scale.load, running.port, connections, requests, scale.seconds, 0.3, running.tree.cpu_seconds
    )
    kept = ("p50_ms", "p99_ms", "max_ms", "errors", "starved", "first_error")
    figures = {key: getattr(load, key) for key in kept}
    return figures | {
        "requests": load.requests,
        "rate": load.requests / load.seconds,
        "cpu_us": cpu / max(1, load.requests) * 1e6,
    }


def _status(running: Running) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(ask(running.port, f"{BASE}/"))
    return status


def _revision(running: Running, path: str) -> str | None:
    """Return the revision that a model's answer names."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    try:
        connection.request(
            "POST", path, protocols.body("variables", ROW), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        response.read()
        return response.headers["X-Model-Revision"]
    finally:
        connection.close()


def _revisions(running: Running) -> set[str]:
    return {model["revision"] for model in _status(running)["models"]}


def _get(running: Running, path: str) -> bytes | None:
    """Return a 200 answer's body, None when there is no such answer yet."""
    try:
        return ask(running.port, path)
    except (OSError, http.client.HTTPException):
        if not running.tree.is_running():
            raise StartError(f"the server ended with {running.tree.root.returncode}") from None
        return None


def _until(seconds: float, what: str, probe: Callable[[], bool], pause: float = 0.01) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > deadline:
            raise StartError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(pause)
