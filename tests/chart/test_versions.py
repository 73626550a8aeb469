"""What several files say has to agree."""

from __future__ import annotations

import re

import helm_python as helm

from server import VERSION
from tests.chart.rendering import CHART, ROOT


def test_the_chart_and_the_image_are_of_this_server() -> None:
    """An empty image.tag means the appVersion: it has to be the version that is built."""
    with helm.Chart.load(CHART) as chart:
        metadata = chart.metadata
    built = re.search(r"^ARG VERSION=(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert built is not None
    assert (metadata["appVersion"], built[1]) == (VERSION, VERSION)


def test_the_chart_asks_for_a_kubernetes_with_native_sidecars() -> None:
    """An older one would run git-sync as an init container that never ends."""
    with helm.Chart.load(CHART) as chart:
        assert chart.metadata["kubeVersion"] == ">=1.29.0-0"


def test_the_image_has_what_the_server_imports() -> None:
    """A module that nobody copied is found out when the pod starts."""
    copied = (ROOT / "Dockerfile").read_text()
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for name in sorted(path.name for path in ROOT.glob("*.py") if path.name != "try_it.py"):
        assert re.search(rf"^COPY .*\b{name}\b", copied, re.MULTILINE), name
        assert f"!{name}" in allowed


def test_no_secret_can_get_into_a_layer() -> None:
    """The build context begins with nothing and takes in what the image is made of."""
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in allowed if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert not {"!secrets", "!env", "!.git", "!."} & set(rules)
