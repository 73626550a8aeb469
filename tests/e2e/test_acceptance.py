"""The API server, which knows more rules than any schema, accepts whatever the chart can make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.cluster import CHART, Cluster
from tests.e2e.release import Release
from tests.e2e.repository import GitServer

PARENT = """
apiVersion: v2
name: platform
version: 0.1.0
dependencies:
  - name: model-serving
    version: ">=0-0"
    repository: file://{chart}
    alias: models
"""
#: What needs no custom resource of an operator that the cluster may not have.
OPTIONS: dict[str, dict[str, Any]] = {
    "Ingress": {"ingress": {"enabled": True, "hosts": ["models.example.com"], "rewrite": True, "path": "/m"}},
    "NetworkPolicy": {"networkPolicy": {"enabled": True}},
    "PersistentVolumeClaim": {"state": {"persistence": {"enabled": True}}},
    "HorizontalPodAutoscaler": {"autoscaling": {"enabled": True, "targetMemoryUtilizationPercentage": 80}},
    "Secret": {"credentials": {"existingSecret": "", "https": {"username": "reader", "password": "p"}}},
    "Service": {"service": {"type": "NodePort"}},
    "ConfigMap": {"metrics": {"dashboard": {"enabled": True}}},
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_the_cluster_accepts_each_option(cluster: Cluster, git: GitServer, kind: str) -> None:
    """What renders and is refused by the cluster fails in front of the person who installs it."""
    shown = Release(cluster, git, "trial", **OPTIONS[kind]).install("--dry-run=server")
    assert kind in kinds(shown)


def test_the_cluster_accepts_the_chart_as_a_dependency(
    cluster: Cluster, git: GitServer, tmp_path: Path
) -> None:
    """Helm hands `global` down to every dependency: a schema that refuses it cannot be one."""
    (tmp_path / "Chart.yaml").write_text(PARENT.format(chart=CHART))
    values = {"global": {"team": "risk"}, "models": {"repo": {"url": git.url}}}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    cluster.helm("dependency", "update", str(tmp_path))
    shown = cluster.helm("install", "platform", str(tmp_path), "--dry-run=server")
    assert {"Deployment", "Service", "ConfigMap", "ServiceAccount"} <= kinds(shown)
    assert f"--repo={git.url}" in shown


def kinds(shown: str) -> set[str]:
    """Return the kinds of the objects in what helm shows."""
    return {line.removeprefix("kind: ") for line in shown.splitlines() if line.startswith("kind: ")}
