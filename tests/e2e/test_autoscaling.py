"""The autoscaler reads the metric of the server's container, and an upgrade leaves the number of pods to it."""

from __future__ import annotations

from typing import Any

from tests.e2e.cluster import Cluster
from tests.e2e.conftest import Install

AUTOSCALING = {"enabled": True, "minReplicas": 2, "maxReplicas": 3}


def test_the_autoscaler_reads_its_metric_and_an_upgrade_keeps_its_pods(
    cluster: Cluster, install: Install
) -> None:
    """An autoscaler that says `unknown` never scales; an upgrade that resets the pods drops callers at noon."""
    release = install("scaling", "--wait", autoscaling=AUTOSCALING)
    scaler = cluster.wait_until(
        lambda: active(cluster, release.fullname), "the autoscaler to read its metric", within=150
    )
    (metric,) = scaler["status"]["currentMetrics"]
    assert metric["type"] == "ContainerResource"
    assert metric["containerResource"]["container"] == "server"
    assert metric["containerResource"]["current"]["averageUtilization"] >= 0
    cluster.wait_until(lambda: len(release.ready_pods()) == 2, "minReplicas to be reached", within=60)
    release.upgrade(autoscaling=AUTOSCALING, podAnnotations={"example.org/upgrade": "1"})
    assert cluster.get("deployment", release.fullname)["spec"]["replicas"] == 2


def active(cluster: Cluster, name: str) -> dict[str, Any] | None:
    """Return the autoscaler when it computes replicas from a metric that it has read."""
    scaler = cluster.get("horizontalpodautoscaler", name)
    status = scaler["status"]
    conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
    return scaler if conditions.get("ScalingActive") == "True" and status.get("currentMetrics") else None
