"""Write the table of values in model-serving/README.md from the comments in values.yaml.

    python charts/readme.py            write it
    python charts/readme.py --check    exit 1 when it is not what would be written

A comment that begins with `# --` documents the key below it; what lies under a documented key is its default.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent / "model-serving"
KEY = re.compile(r"(?P<indent> *)(?P<key>[\w.-]+):(?: |$)")
BEGIN, END = "<!-- values -->", "<!-- end of values -->"


@dataclass(frozen=True)
class Value:
    """One documented value: its path with dots, its default and its sentence."""

    path: str
    default: Any
    doc: str


def read_values(text: str) -> Iterator[Value]:
    """Yield the documented values of a values.yaml in its order."""
    defaults = yaml.safe_load(text)
    path: list[str] = []
    doc = ""
    for line in text.splitlines():
        if line.strip().startswith("# -- "):
            doc = line.strip().removeprefix("# -- ")
        elif match := KEY.match(line):
            path = [*path[: len(match["indent"]) // 2], match["key"]]
            if doc:
                yield Value(".".join(path), _at(defaults, path), doc)
            doc = ""


def _at(values: Any, path: list[str]) -> Any:
    for key in path:
        values = values[key]
    return values


def table(text: str) -> str:
    """Return the Markdown table of a values.yaml."""
    rows = [
        f"| `{value.path}` | `{json.dumps(value.default)}` | {value.doc.replace('|', chr(92) + '|')} |"
        for value in read_values(text)
    ]
    return "\n".join(["| value | default | what it does |", "|---|---|---|", *rows])


def render(readme: str, values: str) -> str:
    """Return *readme* with the table between its marks made anew."""
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table(values)}\n{END}{after}"


def main() -> int:
    """Write the README, or compare it; return the exit code."""
    file = CHART / "README.md"
    readme = file.read_text()
    wanted = render(readme, (CHART / "values.yaml").read_text())
    if "--check" in sys.argv[1:]:
        return int(readme != wanted)
    file.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
