"""The chart serves as a part of somebody else's chart."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.e2e.cluster import CHART, Cluster
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


def test_the_cluster_accepts_the_chart_as_a_dependency(
    cluster: Cluster, git: GitServer, tmp_path: Path
) -> None:
    """Helm hands `global` down to every dependency: a schema that refuses it cannot be one."""
    (tmp_path / "Chart.yaml").write_text(PARENT.format(chart=CHART))
    values = {"global": {"team": "risk"}, "models": {"repo": {"url": git.url}}}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    cluster.helm("dependency", "update", str(tmp_path))
    shown = cluster.helm("install", "platform", str(tmp_path), "--dry-run=server")
    kinds = {line.removeprefix("kind: ") for line in shown.splitlines() if line.startswith("kind: ")}
    assert {"Deployment", "Service", "ConfigMap", "ServiceAccount"} <= kinds
    assert f"--repo={git.url}" in shown
