"""The file `env`, the README's table and the code name the same settings with the same defaults."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from settings import SETTINGS, Setting, Settings
from tests.processes import REPOSITORY

ENV = (REPOSITORY / "env").read_text(encoding="utf-8")
README = REPOSITORY / "README.md"
#: What compose.yaml reads from the file, and the server does not.
OF_COMPOSE = {"gitPath", "usergit", "GIT_REF", "GIT_PERIOD"}


def entries() -> dict[str, tuple[str, str]]:
    """Return the default and the comment above it for each name in the file."""
    found = re.findall(r"^# (.+)\n#(\w+)=(.*)$", ENV, flags=re.MULTILINE)
    return {name: (default, comment) for comment, name, default in found}


def test_env_lists_every_setting_at_its_default() -> None:
    """Otherwise a user learns of a setting, or of its default, only by reading the code."""
    listed = {name: default for name, (default, _comment) in entries().items() if name not in OF_COMPOSE}
    assert listed == {setting.name: setting.default for setting in SETTINGS}


def test_env_explains_every_setting_in_the_words_of_the_code() -> None:
    """Otherwise the file promises what the server no longer does."""
    comments = {name: comment for name, (_default, comment) in entries().items() if name not in OF_COMPOSE}
    assert comments == {setting.name: setting.doc for setting in SETTINGS}


def test_every_line_of_env_is_commented_out() -> None:
    """Otherwise the file changes what is deployed by merely being there."""
    assert [line for line in ENV.splitlines() if line and not line.startswith("#")] == []


def test_env_holds_no_credential() -> None:
    """Otherwise a password stands in the environment of every process, and in `docker inspect`."""
    assert [name for name in entries() if re.search("pass|token|secret|key$", name, re.IGNORECASE)] == []


def test_compose_reads_what_env_says_it_reads() -> None:
    """Otherwise a user sets the repository's address, and nothing is served."""
    compose = (REPOSITORY / "compose.yaml").read_text(encoding="utf-8")
    defaults = {name: default for name, (default, _comment) in entries().items() if name in OF_COMPOSE}
    used = dict(re.findall(r"\$\$\{?(gitPath|usergit|GIT_\w+)(?::?-([^}]*)\})?", compose))
    assert set(used) == OF_COMPOSE
    assert {name: used[name] for name in ("GIT_REF", "GIT_PERIOD")} == {
        name: defaults[name] for name in ("GIT_REF", "GIT_PERIOD")
    }


def uncommented(folder: Path) -> Path:
    """Return a copy of the file in which every setting is set to its default."""
    copy = folder / "env"
    copy.write_text(re.sub(r"^#(?=\w+=)", "", ENV, flags=re.MULTILINE))
    return copy


def test_env_means_the_same_to_a_shell_and_to_docker(tmp_path: Path) -> None:
    """Otherwise a value that works in one of them is cut or expanded by the other."""
    path = uncommented(tmp_path)
    sourced = subprocess.run(
        ["env", "-i", "bash", "-c", 'set -a; source "$0"; /usr/bin/env -0', path],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    shell = dict(pair.split("=", 1) for pair in sourced.split("\0") if pair)
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    docker = dict(line.split("=", 1) for line in lines)
    assert {name: shell.get(name) for name in docker} == docker


def test_defaults_of_env_are_the_defaults_of_the_server(tmp_path: Path) -> None:
    """Otherwise taking the # away from a line changes something."""
    lines = [line for line in uncommented(tmp_path).read_text().splitlines() if line and line[0] != "#"]
    assert Settings.from_env(dict(line.split("=", 1) for line in lines)) == Settings.from_env({})


def row_of(setting: Setting) -> str:
    """Return the setting's row as the README's table has it."""
    default = f"`{setting.default}`" if setting.default else ""
    return f"| `{setting.name}` | {default} | {setting.doc} |"


def test_readme_has_a_row_for_each_setting() -> None:
    """Otherwise the README's table is not to be trusted; the rows that it should have are in the failure."""
    names = tuple(f"| `{setting.name}` |" for setting in SETTINGS)
    rows = [line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith(names)]
    assert "\n".join(rows) == "\n".join(map(row_of, SETTINGS))
