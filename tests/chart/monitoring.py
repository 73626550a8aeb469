"""The release's rules and dashboard as Prometheus sees them; what the tests of both share."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, NAMESPACE, merged, of_kind, render, values_of

JOB = "models-model-serving"
SERVER = f'namespace="{NAMESPACE}",job="{JOB}"'
GIT = f'namespace="{NAMESPACE}",job="{JOB}-git-sync"'


def command(name: str) -> str:
    """Return the path of one of Prometheus' commands, or skip."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: apt-get install prometheus")
    return found


def rule_groups(**changes: Any) -> dict[str, Any]:
    """Return what the PrometheusRule hands to Prometheus."""
    rule = of_kind(render(merged(values_of("monitoring"), **changes)), "PrometheusRule")
    groups: dict[str, Any] = rule["spec"]
    return groups


def promtool(folder: Path, *arguments: str, **files: Any) -> subprocess.CompletedProcess[str]:
    """Run promtool in *folder* with YAML *files* there."""
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return subprocess.run(
        [command("promtool"), *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    text: dict[str, Any] = json.loads((CHART / "files" / "dashboard.json").read_text())
    return text


def dashboard_queries() -> Iterator[tuple[str, str]]:
    """Yield each query of the dashboard with its panel's title, filled in as Grafana does for this release."""
    filled = {
        "$__rate_interval": "1m",
        "$namespace": NAMESPACE,
        "$job": JOB,
        "$model": ".*",
    }
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in filled.items():
                query = query.replace(name, value)
            yield f"{panel['title']} {target['refId']}", query
