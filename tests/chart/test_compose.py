"""compose.yaml: the same sidecar without a cluster, and credentials that only git-sync can see."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import SETTINGS
from tests.chart.rendering import CHART, ROOT, containers, deployed_pod, render, values_of
from tests.processes import Process

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
GIT_SYNC, SERVER = COMPOSE["services"]["git-sync"], COMPOSE["services"]["server"]
ADDRESS = "https://git.example.com/team/models.git"
#: What a service may have, of the Compose specification.
KEYS = {
    *("build", "cap_drop", "depends_on", "entrypoint", "env_file", "environment", "healthcheck", "image"),
    *("ports", "read_only", "restart", "security_opt", "stop_grace_period", "tmpfs", "user", "volumes"),
}


def start(
    folder: Path, secrets: dict[str, str] | None = None, user: int | None = None, **environ: str
) -> tuple[int, list[str]]:
    """Run git-sync's entrypoint around a stand-in; return its exit code and the lines that it printed."""
    (folder / "secrets").mkdir()
    for name, content in (secrets or {}).items():
        (folder / "secrets" / name).write_text(content)
        (folder / "secrets" / name).chmod(0o600)
    stand_in = folder / "git-sync"
    stand_in.write_text("#!/usr/bin/env bash\nprintf '%s\\n' \"$@\"\n")
    stand_in.chmod(0o755)
    shell, option, script = GIT_SYNC["entrypoint"]
    script = script.replace("$$", "$").replace("/secrets/", f"{folder}/secrets/")
    script = script.replace("/git-sync.sh", shlex.quote(str(CHART / "files" / "git-sync.sh")))
    sync = {
        "SYNC_COMMAND": str(stand_in),
        "SYNC_ROOT": str(folder),
        "SYNC_ERROR_FILE": str(folder / "e"),
        "SYNC_RETRY_SECONDS": "0.1",
    }
    process = Process(
        [shell, option, script],
        environ={"PATH": os.environ["PATH"], **sync, **environ},
        folder=folder,
        log=folder / "log",
        user=user,
    )
    try:
        return process.exit_code(within=20), process.output().replace(str(folder), "").splitlines()
    finally:
        process.kill()


def test_the_services_have_known_keys_only() -> None:
    """Compose refuses the whole file for one key that it does not know."""
    assert set(COMPOSE) == {"services", "volumes"}
    for service in COMPOSE["services"].values():
        assert set(service) <= KEYS
        named = {volume.split(":")[0] for volume in service["volumes"] if not volume.startswith("./")}
        assert named <= set(COMPOSE["volumes"])


def test_dollar_signs_reach_bash() -> None:
    """Compose takes a single dollar sign for a variable of its own."""
    text = (ROOT / "compose.yaml").read_text()
    assert text.count("$") == 2 * text.count("$$")


def test_git_sync_gets_what_the_chart_gives_it(tmp_path: Path) -> None:
    """What was learnt about git-sync holds without a cluster too."""
    code, given = start(tmp_path, gitPath=ADDRESS)
    chart = containers(deployed_pod(render(values_of("minimal"))))["git-sync"]
    defaults = {"--submodules=recursive", "--verbose=0"}
    assert code == 0
    assert set(given) == set(chart["args"]) - defaults
    assert GIT_SYNC["image"] == chart["image"]
    assert GIT_SYNC["environment"]["GIT_SSH_COMMAND"] in {e["value"] for e in chart["env"]}


def test_a_password_is_a_file_that_git_sync_alone_has(tmp_path: Path) -> None:
    """The seed's `password` was an environment variable of everything."""
    _, given = start(tmp_path, {"git-password": "canary"}, gitPath=ADDRESS, usergit="reader", GIT_PERIOD="5m")
    assert {"--username=reader", "--password-file=/secrets/git-password", "--period=5m"} <= set(given)
    assert "canary" not in "".join(given)
    assert any("secrets" in volume for volume in GIT_SYNC["volumes"])
    assert not any("secrets" in volume for volume in SERVER["volumes"])


def test_an_ssh_key_is_used_with_known_hosts(tmp_path: Path) -> None:
    """A deploy key needs no user and no password."""
    _, given = start(tmp_path, {"ssh-key": "key", "known_hosts": "host"}, gitPath="git@git.example.com:m.git")
    assert {"--ssh-key-file=/secrets/ssh-key", "--ssh-known-hosts-file=/secrets/known_hosts"} <= set(given)
    assert not any(flag.startswith(("--username", "--password-file")) for flag in given)


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "gitPath is not set: write the address of your models' repository into the file env"),
        (
            {"gitPath": ADDRESS, "password": "canary"},
            "password stands in the file env, where the server would read it: move it to secrets/git-password",
        ),
        (
            {"gitPath": "https://reader:canary@git.example.com/m.git"},
            "gitPath has a user or a password in it, which process lists show: "
            "write usergit and secrets/git-password",
        ),
    ],
)
def test_a_wrong_env_file_is_told(tmp_path: Path, environ: dict[str, str], sentence: str) -> None:
    """It restarts until it is healed, and the log says what to write, never the password."""
    code, lines = start(tmp_path, **environ)
    assert (code, lines) == (1, [f"compose: {sentence}"])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become git-sync's user")
def test_a_secret_that_cannot_be_read_is_told() -> None:
    """A file that its owner alone may read is the most likely mistake."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        code, lines = start(Path(name), {"git-password": "canary"}, user=65533, gitPath=ADDRESS)
    sentence = "secrets/git-password cannot be read by user 65533: sudo chown -R 65533:65533 secrets"
    assert (code, lines) == (1, [f"compose: {sentence}"])


def test_no_credential_reaches_the_server() -> None:
    """Whatever somebody writes into env for git-sync, the server's environment has it empty."""
    assert SERVER["env_file"] == "env"
    hidden = {name for name, value in SERVER["environment"].items() if value == ""}
    assert hidden == {"gitPath", "usergit", "password"}
    assert "args" not in str(SERVER["build"])


def test_the_server_is_on_port_80_and_reads_the_link() -> None:
    """The seed served on port 80; a process without privileges opens 8080."""
    assert SERVER["ports"] == ["80:8080"]
    fixed = {name: value for name, value in SERVER["environment"].items() if value != ""}
    assert fixed == {"HOST": "0.0.0.0", "PORT": 8080, "MODELS_DIR": "/git/current", "STATE_DIR": "/state"}
    assert set(fixed) <= {setting.name for setting in SETTINGS}
    assert "models:/git:ro" in SERVER["volumes"]


@pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"])
def test_no_service_has_privileges(service: dict[str, Any]) -> None:
    """The same as in the cluster: a read-only root, no capabilities, no way to get some."""
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == "/tmp"


def test_compose_waits_longer_than_the_server_drains() -> None:
    """Docker kills after ten seconds otherwise."""
    (shutdown,) = [s.default for s in SETTINGS if s.name == "SHUTDOWN_TIMEOUT_SECONDS"]
    assert int(SERVER["stop_grace_period"].removesuffix("s")) > int(shutdown)
