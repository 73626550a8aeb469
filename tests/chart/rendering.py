"""Render the chart with Helm's own engine; what the tests of this folder share."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "model-serving"
VALUES = Path(__file__).resolve().parent / "values"
RELEASE, NAMESPACE = "models", "serving"
URL = {"repo": {"url": "https://git.example.com/team/models.git"}}

Manifest = dict[str, Any]


def value_files() -> list[str]:
    """Return the names of the value files."""
    return sorted(file.stem for file in VALUES.glob("*.yaml"))


def values_of(name: str) -> dict[str, Any]:
    """Return the values of one value file."""
    values: dict[str, Any] = yaml.safe_load((VALUES / f"{name}.yaml").read_text())
    return values


def merged(values: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return *values* with *changes* laid over them, as a second value file would be."""
    result = dict(values)
    for key, change in changes.items():
        below = result.get(key)
        result[key] = (
            merged(below, **change) if isinstance(below, dict) and isinstance(change, dict) else change
        )
    return result


def render_files(values: dict[str, Any]) -> dict[str, str]:
    """Return what each template renders to, NOTES.txt included; refuse what `helm install` would."""
    return dict(_render_files(json.dumps(values)))


@functools.cache
def _render_files(values: str) -> dict[str, str]:
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(chart.merge_values(json.loads(values)))
        return chart.render(json.loads(values), name=RELEASE, namespace=NAMESPACE)


def render(values: dict[str, Any]) -> list[Manifest]:
    """Return every rendered object."""
    texts = [text for path, text in render_files(values).items() if path.endswith(".yaml")]
    return [document for text in texts for document in yaml.load_all(text, StrictLoader) if document]


def of_kind(manifests: list[Manifest], kind: str) -> Manifest:
    """Return the one object of a kind."""
    (found,) = [manifest for manifest in manifests if manifest["kind"] == kind]
    return found


def deployed_pod(manifests: list[Manifest]) -> Manifest:
    """Return the pod's spec of the Deployment."""
    spec: Manifest = of_kind(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


def pods(manifests: list[Manifest]) -> list[Manifest]:
    """Return every pod's spec: the Deployment's and the test's."""
    return [deployed_pod(manifests), *(m["spec"] for m in manifests if m["kind"] == "Pod")]


def containers(pod: Manifest) -> dict[str, Manifest]:
    """Return the containers of a pod by name, init containers included."""
    return {c["name"]: c for c in [*pod.get("initContainers", []), *pod["containers"]]}


class StrictLoader(yaml.CSafeLoader):
    """A loader that refuses a key that is there twice, as the API server does."""


def _mapping(loader: StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value]
    assert len(keys) == len(set(keys)), f"a key is there twice: {keys} {node.start_mark}"
    return loader.construct_mapping(node, deep=True)


StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
