"""The chart as a dependency of another one, once and twice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from tests.chart.rendering import CHART, URL, StrictLoader

Manifest = dict[str, Any]


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A chart that depends on this one under two names."""
    chart = tmp_path / "platform"
    shutil.copytree(CHART, chart / "charts" / "model-serving")
    dependency = {"name": "model-serving", "version": ">=0"}
    metadata = {
        "apiVersion": "v2",
        "name": "platform",
        "version": "1.0.0",
        "dependencies": [{**dependency, "alias": "churn"}, {**dependency, "alias": "pricing"}],
    }
    (chart / "Chart.yaml").write_text(yaml.safe_dump(metadata))
    (chart / "values.yaml").write_text(
        yaml.safe_dump({"global": {"region": "eu"}, "churn": URL, "pricing": URL})
    )
    return chart


def rendered(parent: Path, **values: Any) -> list[Manifest]:
    """Return every object of the parent chart."""
    with helm.Chart.load(parent) as chart:
        chart.validate_schema(chart.merge_values(values))
        files = chart.render(values, name="prod", namespace="serving")
    texts = [text for path, text in files.items() if path.endswith(".yaml")]
    return [document for text in texts for document in yaml.load_all(text, StrictLoader) if document]


def test_two_repositories_in_one_parent_keep_apart(parent: Path) -> None:
    """Two releases of models in one platform chart must not take each other's pods, names or metrics."""
    manifests = rendered(parent)
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(names) == len(set(names))
    services = {m["metadata"]["name"]: m["spec"]["selector"] for m in manifests if m["kind"] == "Service"}
    assert set(services) == {"prod-churn", "prod-pricing"}
    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            labels = manifest["spec"]["template"]["metadata"]["labels"]
            selected = [name for name, selector in services.items() if selector.items() <= labels.items()]
            assert selected == [manifest["metadata"]["name"]]


def test_the_schema_holds_below_a_parent(parent: Path) -> None:
    """A misspelt value is refused there too, and the parent's globals are not."""
    with pytest.raises(helm.HelmError, match="replicaCounts"):
        rendered(parent, churn={"replicaCounts": 3})


def test_the_package_has_what_the_templates_read(tmp_path: Path) -> None:
    """A file that .helmignore drops is missing only in the archive that everybody installs."""
    archive = helm.package(CHART, destination=tmp_path)
    with helm.Chart.load(archive) as chart, helm.Chart.load(CHART) as folder:
        packed = chart.render(URL, name="models", namespace="serving")
        assert packed == folder.render(URL, name="models", namespace="serving")
