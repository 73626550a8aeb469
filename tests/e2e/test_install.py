"""Installing takes one command and a URL, and the result can be checked with another."""

from __future__ import annotations

from tests.e2e.cluster import Cluster
from tests.e2e.release import Release


def test_install_with_wait_leaves_a_release_that_serves(release: Release) -> None:
    """`helm install --wait` that returns before anything answers would break every pipeline behind it."""
    answer = release.score("constant")
    assert (answer.status, answer.json()) == (200, {"answer": "first"})
    assert len(release.ready_pods()) == 2


def test_helm_test_scores_a_row_of_every_model(release: Release) -> None:
    """The operator has no other way to see that a row goes through the Service."""
    log = release.cluster.helm("test", release.name, "--logs")
    assert "scored constant: 200" in log
    assert "scored other: 200" in log


def test_every_replica_names_the_same_commit(release: Release) -> None:
    """Callers compare answers by their commit; replicas must agree on the one that made the same bytes."""
    answers = [release.score_in(pod, "constant") for pod in release.ready_pods()]
    assert len(answers) == 2
    assert {answer.status for answer in answers} == {200}
    assert len({answer.headers["x-model-revision"] for answer in answers}) == 1
    assert len({answer.headers["x-model-version"] for answer in answers}) == 1


def test_both_containers_can_be_scraped(cluster: Cluster, release: Release) -> None:
    """Without git-sync's own counters nobody learns that pushes no longer arrive."""
    address = release.pods()[0]["status"]["podIP"]
    assert 'model_up{model="constant"} 1' in cluster.ask(f"http://{address}:8080/metrics").text
    assert 'git_sync_count_total{status="success"}' in cluster.ask(f"http://{address}:9091/metrics").text
