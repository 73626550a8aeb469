"""A git host that is away stops new commits from arriving, and nothing else."""

from __future__ import annotations

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
    pod = release.pod()
    cluster.kubectl("exec", pod, "-c", "git-sync", "--", "bash", "-c", "kill 1")
    wait_for_restart(release, pod, "git-sync")
    assert release.answers("constant") == ["first"]
    release.end_server(pod)
    wait_for_restart(release, pod, "server")
    assert release.answers("constant") == ["first"]


def wait_for_restart(release: Release, pod: str, container: str) -> None:
    """Wait until a container was restarted once and the pod takes requests."""
    release.cluster.wait_until(
        lambda: release.restarts(pod, container) == 1 and release.ready_pods(),
        f"{container} to be restarted and the pod to be ready",
        within=60,
    )
