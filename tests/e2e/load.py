"""Callers inside of the cluster that go through the Service while something happens to the pods behind it."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.e2e.cluster import Answer, Cluster

#: For each caller the longest pause between two calls, in seconds: some of them let a connection idle for a while.
KEPT = [0.05] * 12 + [1.0] * 12 + [4.0] * 8
FRESH = [0.1] * 8
AT_MOST_SECONDS = 240


@dataclass
class Load:
    """What the callers have seen, once they have stopped.

    Attributes:
        answered: How often each text came with a 200.
        lost: Each request that got anything else, or no answer.
        connections: How many connections were made.
    """

    answered: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    connections: int = 0

    def assert_lost_none(self, at_least: int = 500) -> None:
        """Fail unless all of a good number of requests were answered 200."""
        total = self.answered.total() + len(self.lost)
        assert not self.lost, f"{len(self.lost)} of {total} requests were lost, such as {self.lost[:5]}"
        assert total >= at_least, f"only {total} requests were sent: that proves nothing"
        print(f"{total} requests over {self.connections} connections, none lost")


@contextmanager
def asking(cluster: Cluster, url: str) -> Iterator[Callable[[], Answer]]:
    """Post one row to *url* while the block runs; the block may call what it gets to wait for the answer."""
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(cluster.ask, url, {"variables": {}})
        yield answer.result


@contextmanager
def under_load(cluster: Cluster, url: str) -> Iterator[Load]:
    """Have forty callers post rows to *url* while the block runs; fill the Load when it ends."""
    address, load = urlsplit(url), Load()
    stop_file = f"/tmp/stop-{secrets.token_hex(4)}"
    plan = {
        "host": address.hostname,
        "port": address.port or 80,
        "path": address.path,
        "kept": KEPT,
        "fresh": FRESH,
        "at_most_seconds": AT_MOST_SECONDS,
        "stop_file": stop_file,
    }
    command = ["kubectl", "--namespace", cluster.namespace, "exec", "client", "--"]
    callers = subprocess.Popen(
        [*command, "python", "/scripts/load.py", json.dumps(plan)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield load
    finally:
        cluster.kubectl("exec", "client", "--", "touch", stop_file)
        output, errors = callers.communicate(timeout=90)
    assert callers.returncode == 0, errors
    seen = json.loads(output)
    load.answered, load.lost, load.connections = Counter(seen["answered"]), seen["lost"], seen["connections"]
