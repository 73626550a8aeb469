"""The other two ways to get at a private repository, each with the files and flags that the chart gives."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gitsync.conftest import model
from tests.gitsync.host import APP_ISSUER, Author, GitHost
from tests.gitsync.sidecar import Sidecar
from tests.processes import Process, wait_until

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
#: sshd does not start as root without this folder, which its service would make.
RUN_SSHD = Path("/run/sshd")
Sync = Callable[[dict[str, str], dict[str, Any]], Sidecar]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    """A git host with one commit."""
    host = GitHost(tmp_path)
    yield host
    host.close()


@pytest.fixture
def revision(tmp_path: Path, host: GitHost) -> str:
    """That commit."""
    return Author(tmp_path, host).push(model("first"))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """The folder of the Secret's files."""
    folder = tmp_path / "sidecar" / "secret"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def sync(tmp_path: Path, secret: Path) -> Iterator[Sync]:
    """Start git-sync with these values."""
    started: list[Sidecar] = []

    def start(repo: dict[str, str], credentials: dict[str, Any]) -> Sidecar:
        started.append(Sidecar(secret.parent, secret.parent / "git", repo, credentials))
        started[-1].start()
        return started[-1]

    yield start
    for sidecar in started:
        sidecar.close()


@pytest.fixture
def ssh_port(tmp_path: Path, secret: Path) -> Iterator[int]:
    """A real ssh server that takes the key in the Secret, and whose own key is known there."""
    if SSHD is None:
        pytest.skip("needs git-sync and sshd: apt-get install openssh-server")
    for key in (secret / "ssh", tmp_path / "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    public = (tmp_path / "host.pub").read_text()
    (secret / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
    config = tmp_path / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {tmp_path / 'host'}\nPidFile none\nStrictModes no\n"
        f"AuthorizedKeysFile {secret / 'ssh.pub'}\nPasswordAuthentication no\n"
    )
    made = os.geteuid() == 0 and not RUN_SSHD.exists()
    if made:
        RUN_SSHD.mkdir()
    server = Process(
        [SSHD, "-D", "-e", "-f", config], environ=os.environ, folder=tmp_path, log=tmp_path / "sshd.log"
    )
    server.wait_for(lambda: "Server listening" in server.output(), "sshd to listen", within=10)
    yield port
    server.kill()
    if made:
        RUN_SSHD.rmdir()


def test_an_ssh_key_and_a_known_host(host: GitHost, revision: str, ssh_port: int, sync: Sync) -> None:
    """Deploy keys are how most companies hand out read access."""
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{ssh_port}{host.path}"
    sync({"url": url}, {}).wait_for_link(revision)


def test_a_host_whose_key_is_not_known_is_refused(
    host: GitHost, revision: str, ssh_port: int, secret: Path, sync: Sync
) -> None:
    """Whoever answers under the host's address would otherwise choose the code that the models run."""
    stranger = (secret / "ssh.pub").read_text()
    (secret / "known_hosts").write_text(f"[127.0.0.1]:{ssh_port} {stranger}")
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{ssh_port}{host.path}"
    sidecar = sync({"url": url}, {})
    assert "Host key verification failed" in sidecar.wait_for_error()
    assert not sidecar.link.is_symlink()


def test_a_github_app(host: GitHost, revision: str, secret: Path, sync: Sync) -> None:
    """The way without a person's account behind it: the key is traded for a token that lasts an hour."""
    key = secret / "github-app-private-key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    app = {
        "applicationId": APP_ISSUER,
        "installationId": "42",
        "baseUrl": host.url.replace("models.git", "api/"),
    }
    sidecar = sync({"url": host.url}, {"githubApp": app})
    sidecar.wait_for_link(revision)
    wait_until(lambda: not sidecar.error_file.exists(), "no error to be left", within=5)
