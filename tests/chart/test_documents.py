"""The commands in the documents name values that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import CHART, ROOT

DOCUMENTS = [file for file in (ROOT / "README.md", CHART / "README.md") if file.exists()]
OPTION = re.compile(r"--set(?:-file|-string)?[ =]([\w.]+?)(?:\[\d+\][\w.]*)?=")
MENTION = re.compile(
    r"`((?:repo|credentials|settings|gitSync|metrics|autoscaling|keda|state|ingress|service)\.[\w.]+\w)(?:=[^`]*)?`"
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.parent.name)
def test_every_value_in_a_document_exists(document: Path) -> None:
    """A reader pastes `--set` lines; a value that was renamed since is refused, or worse, was never there."""
    text = document.read_text()
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    unknown = []
    for path in {*OPTION.findall(text), *MENTION.findall(text)}:
        values = defaults
        for key in path.split("."):
            if not isinstance(values, dict) or (values and key not in values):
                unknown.append(path)
                break
            values = values.get(key, {})
    assert unknown == []
