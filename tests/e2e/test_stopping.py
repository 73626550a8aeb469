"""A pod that is told to stop finishes its calls, says goodbye in time and is not killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from tests.e2e.cluster import Cluster
from tests.e2e.conftest import Install
from tests.e2e.load import asking
from tests.e2e.release import container_status
from tests.e2e.repository import GitServer

FINALIZER = "example.org/look-at-it-first"
SLOW = """
import time

class Slow:
    def transform_predict(self) -> dict:
        time.sleep(10)
        return {"answer": "slow but sure"}
"""


def test_a_pod_ends_within_its_grace_period_and_finishes_its_calls(
    cluster: Cluster, git: GitServer, install: Install
) -> None:
    """A pod that overstays is killed with its calls; one that leaves early cuts them off."""
    git.push({"slow": {"etls.py": SLOW}})
    release = install("stopping", "--wait")
    name = release.pod()
    with kept_for_inspection(cluster, name), asking(cluster, f"{release.url}/slow") as call:
        cluster.wait_until(
            lambda: 'in_progress{model="slow"} 1' in cluster.ask(f"http://{release.fullname}/metrics").text,
            "the slow call to run",
            within=10,
        )
        cluster.kubectl("delete", "pod", name, "--wait=false")
        pod = cluster.wait_until(lambda: ended(cluster, name), "both containers to end", within=60)
        assert call().json() == {"answer": "slow but sure"}
    server, git_sync = (
        container_status(pod, container)["state"]["terminated"] for container in ("server", "git-sync")
    )
    assert (server["exitCode"], server["reason"]) == (0, "Completed")
    assert took_seconds(pod, server) < pod["spec"]["terminationGracePeriodSeconds"]
    assert server["finishedAt"] <= git_sync["finishedAt"]


def test_the_pod_runs_as_nobody_over_a_root_that_it_cannot_write(release: Any) -> None:
    """What breaks out of a model must find nothing to hold on to: the namespace admits only restricted pods."""
    pod = release.pods()[0]["metadata"]["name"]
    probe = (
        "import os, pathlib\n"
        "assert os.getuid() == 65533\n"
        "assert not pathlib.Path('/var/run/secrets/kubernetes.io').exists()\n"
        "for folder in ('/', '/app', '/git', '/usr'):\n"
        "    try:\n"
        "        pathlib.Path(folder, 'probe').write_text('')\n"
        "    except OSError:\n"
        "        continue\n"
        "    raise SystemExit(f'could write to {folder}')\n"
    )
    release.cluster.kubectl("exec", pod, "-c", "server", "--", "python", "-c", probe)


@contextmanager
def kept_for_inspection(cluster: Cluster, pod: str) -> Iterator[None]:
    """Keep the object of a pod that is deleted in the block, so that its end can be read; not its containers."""
    patch(cluster, pod, [FINALIZER])
    try:
        yield
    finally:
        patch(cluster, pod, None)


def patch(cluster: Cluster, pod: str, finalizers: list[str] | None) -> None:
    """Set the finalizers of a pod."""
    change = json.dumps({"metadata": {"finalizers": finalizers}})
    cluster.kubectl("patch", "pod", pod, "--type=merge", "-p", change)


def ended(cluster: Cluster, name: str) -> dict[str, Any] | None:
    """Return the pod when both of its containers have ended."""
    pod = cluster.get("pod", name)
    over = ["terminated" in container_status(pod, c)["state"] for c in ("server", "git-sync")]
    return pod if all(over) else None


def took_seconds(pod: dict[str, Any], terminated: dict[str, Any]) -> float:
    """Return the time from the deletion to the end of a container."""
    grace_seconds = pod["metadata"]["deletionGracePeriodSeconds"]
    until = datetime.fromisoformat(pod["metadata"]["deletionTimestamp"])
    return grace_seconds + (datetime.fromisoformat(terminated["finishedAt"]) - until).total_seconds()
