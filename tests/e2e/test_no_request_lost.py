"""Pods come and go while callers call: no request is lost to that."""

from __future__ import annotations

from tests.e2e.cluster import Cluster
from tests.e2e.load import under_load
from tests.e2e.release import Release


def names(release: Release) -> set[str]:
    """Return the names of the pods that take requests."""
    return {pod["metadata"]["name"] for pod in release.ready_pods()}


def test_a_rolling_upgrade_under_load_loses_no_request(cluster: Cluster, release: Release) -> None:
    """Platform people upgrade at noon; callers must not notice."""
    before = names(release)
    with under_load(cluster, f"{release.url}/constant") as load:
        release.upgrade(podAnnotations={"example.org/upgrade": "1"})
        cluster.wait_until(lambda: not before & all_names(release), "the old pods to be gone", within=90)
    assert not before & names(release)
    load.assert_lost_none()


def test_deleting_a_pod_under_load_loses_no_request(cluster: Cluster, release: Release) -> None:
    """A node that is drained, or a person who deletes a pod, must cost nobody an answer."""
    victim = sorted(names(release))[0]
    with under_load(cluster, f"{release.url}/constant") as load:
        cluster.kubectl("delete", "pod", victim)
        cluster.wait_until(lambda: len(names(release)) == 2, "the successor to be ready", within=60)
    assert victim not in names(release)
    load.assert_lost_none()


def all_names(release: Release) -> set[str]:
    """Return the names of all pods of the release, those that are ending included."""
    label = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component=server"
    return {pod["metadata"]["name"] for pod in release.cluster.get("pods", "--selector", label)["items"]}
