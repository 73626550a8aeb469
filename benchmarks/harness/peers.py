"""Read what the folders under `peers/` say about their servers.

A peer is a folder with `requirements.txt`, an application, and `peer.toml`:

    title                how the report names it
    role                 "ours", "control", "limit" (a compiled server without a framework's work) or absent
    documentation        where its idiom is documented
    command, prepare     what to run; `prepare` once before each start. Placeholders: see `fill`
    protocol, path       how a row is asked for: see `protocols`
    environment          variables on top of the common ones
    newest_python        the newest Python it supports
    one_server_per_work  it serves one model per process
    alone                it keeps the CPU busy when idle: no other peer runs beside it
    note                 what a reader of the table must know
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1]
REPOSITORY = BENCHMARKS.parent
CONTROL = "cheroot-wsgi"
DEFAULT = ("ours", "fastapi-sync", "fastapi-async", "mlserver")


@dataclass(frozen=True)
class Peer:
    """One server of the comparison."""

    name: str
    title: str
    documentation: str
    command: list[str]
    protocol: str
    path: str
    role: str = ""
    prepare: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    newest_python: str = ""
    one_server_per_work: bool = False
    alone: bool = False
    note: str = ""

    @property
    def folder(self) -> Path:
        """Where its application lies; its commands run there."""
        return BENCHMARKS / "peers" / self.name


def read(name: str) -> Peer:
    """Return the peer *name*.

    Raises:
        KeyError: There is no such folder; the message lists those that exist.
    """
    file = BENCHMARKS / "peers" / name / "peer.toml"
    if not file.is_file():
        raise KeyError(f"no server {name!r}; there are {', '.join(names())}")
    return Peer(name=name, **tomllib.loads(file.read_text()))


def names() -> list[str]:
    """Return all peers, the control first."""
    found = sorted(file.parent.name for file in (BENCHMARKS / "peers").glob("*/peer.toml"))
    return [CONTROL, *(name for name in found if name != CONTROL)]


def fill(text: str, values: dict[str, str]) -> str:
    """Replace the placeholders of a command or variable: {bin}, {port}, {state}, {models}, {work} and so on."""
    for key, value in values.items():
        text = text.replace("{" + key + "}", value)
    return text
