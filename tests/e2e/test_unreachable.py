"""A git host that is away stops new commits from arriving, and nothing else."""

from __future__ import annotations

from typing import Any

from tests.e2e.cluster import Cluster
from tests.e2e.conftest import Install
from tests.e2e.release import Release, container_status
from tests.e2e.repository import GitServer, model

#: A failure is tried again after this time; the period between two good syncs stays a day.
RETRY = {"retryPeriod": "5s"}


def test_a_repository_that_is_away_at_the_start_is_waited_for(
    cluster: Cluster, git: GitServer, install: Install
) -> None:
    """A git host that is down for an hour must cost an hour, not a person who restarts pods."""
    git.become_unreachable()
    release = install("waiting", repo={"url": git.url, **RETRY})
    cluster.wait_until(
        lambda: "failed to connect" in release.logs("git-sync").lower(),
        "git-sync's log to say that it cannot connect",
        within=60,
    )
    (pod,) = release.pods()
    assert container_status(pod, "server")["state"]["waiting"]["reason"] == "PodInitializing"
    assert container_status(pod, "git-sync")["restartCount"] == 0
    git.become_reachable()
    cluster.wait_until(release.ready_pods, "the pod to become ready by itself", within=60)
    assert release.score("constant").json() == {"answer": "first"}


def test_a_repository_that_goes_away_later_is_followed_again_when_it_is_back(
    cluster: Cluster, git: GitServer, install: Install
) -> None:
    """A failed sync would wait a whole period, a day by default; callers get answers all the time."""
    release = install("following", "--wait", repo={"url": git.url, **RETRY})
    git.become_unreachable()
    git.push({"constant": model("while away")})
    release.sync_now()
    cluster.wait_until(
        lambda: "failed to connect" in release.logs("git-sync").lower(), "the sync to fail", within=60
    )
    assert release.answers("constant") == ["first"]
    git.become_reachable()
    release.wait_for_answer("constant", "while away", within=60)
    git.push({"constant": model("first")})
    release.sync_now()
    release.wait_for_answer("constant", "first")


def test_containers_that_restart_while_it_is_away_serve_on(
    cluster: Cluster, git: GitServer, install: Install
) -> None:
    """A crash during an outage of the git host must not turn it into an outage of the models."""
    release = install("restarting", "--wait", repo={"url": git.url, **RETRY})
    git.become_unreachable()
    for container, command in (("git-sync", ["bash", "-c", "kill 1"]), ("server", python("os.kill(1, 15)"))):
        cluster.kubectl("exec", release.pod(), "-c", container, "--", *command)
        cluster.wait_until(
            lambda name=container: restarts(release, name) == 1, f"{container} to be restarted", within=60
        )
        cluster.wait_until(release.ready_pods, f"the pod to be ready after {container} restarted", within=60)
        assert release.answers("constant") == ["first"]


def python(statement: str) -> list[str]:
    """Return a command that runs one statement in the server's container."""
    return ["python", "-c", f"import os; {statement}"]


def restarts(release: Release, container: str) -> Any:
    """Return how often a container of the release's pod was restarted."""
    (pod,) = release.pods()
    return container_status(pod, container)["restartCount"]
