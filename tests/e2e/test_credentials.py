"""The password reaches git-sync and nobody else; a wrong one is easy to find."""

from __future__ import annotations

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.conftest import Install
from tests.e2e.release import Release
from tests.e2e.repository import GitServer

#: Prints every file below the folders given, and of every process, that this user can read and that contains what
#: comes on standard input. A process of another container would show that container's files under its `root`.
SEARCH = """
import os, sys
needle = sys.stdin.buffer.read()
assert len(needle) > 20
def walk():
    processes = [f"/proc/{process}" for process in os.listdir("/proc") if process.isdigit()]
    roots = [f"{process}/root/{folder}" for process in processes for folder in ("etc", "tmp", "run")]
    for top in [*sys.argv[1:], *roots]:
        for folder, folders, files in os.walk(top, onerror=lambda error: None):
            folders[:] = [f for f in folders if os.path.join(folder, f) not in ("/proc", "/sys", "/dev")]
            yield from (os.path.join(folder, file) for file in files)
    for process in processes:
        yield from (f"{process}/{file}" for file in ("cmdline", "environ"))
for path in walk():
    try:
        if os.path.isfile(path):
            with open(path, "rb") as file:
                if needle in file.read():
                    print(path)
    except OSError:
        pass
"""


def test_a_wrong_password_is_named_where_an_operator_looks(cluster: Cluster, install: Install) -> None:
    """`helm install --wait` says only `Available: 0/1`; the command in the notes must lead to the reason."""
    cluster.make_secret("wrong-password", password="this-one-is-wrong-and-long")
    credentials = {"existingSecret": "wrong-password", "https": {"username": "reader"}}
    release = install("refused", credentials=credentials)
    (command,) = [line.strip() for line in release.notes().splitlines() if line.endswith("-c git-sync")]
    assert command.startswith("kubectl logs ")
    cluster.wait_until(
        lambda: "Authentication failed" in cluster.says(*command.split()[1:]),
        "git-sync's log to say that the password is wrong",
        within=60,
    )
    assert "this-one-is-wrong" not in release.all_logs()


def test_a_corrected_secret_is_taken_without_a_restart(
    cluster: Cluster, git: GitServer, install: Install
) -> None:
    """Tokens are rotated; a release that needs a rollout for it fails in the night of the rotation."""
    cluster.make_secret("rotated", password="this-one-is-wrong-and-long")
    values = {
        "repo": {"url": git.url, "retryPeriod": "5s"},
        "credentials": {"existingSecret": "rotated", "https": {"username": "reader"}},
    }
    release = install("rotating", **values)
    cluster.wait_until(
        lambda: "Authentication failed" in release.logs("git-sync"), "the first try to fail", within=60
    )
    cluster.make_secret("rotated", password=git.password)
    cluster.wait_until(release.ready_pods, "the new password to reach git-sync", within=180)


@pytest.mark.parametrize("container", ["server", "git-sync"])
def test_no_environment_and_no_process_list_has_the_password(
    git: GitServer, release: Release, container: str
) -> None:
    """Both show in `kubectl describe`, crash reports and node agents."""
    # git-sync's image has no Python: bash reads what it needs.
    script = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline"
    if container == "git-sync":
        assert git.password not in execute(release, container, ["bash", "-c", script])
    else:
        assert execute(release, container, ["python", "-c", SEARCH], given=git.password) == ""


def test_no_file_that_the_server_can_read_has_the_password(git: GitServer, release: Release) -> None:
    """Model code is other people's code: what the server can read, every model can."""
    assert execute(release, "server", ["python", "-c", SEARCH, "/"], given=git.password) == ""


def test_the_search_for_the_password_finds_it_where_it_may_be(git: GitServer, release: Release) -> None:
    """A search that cannot find anything would keep every promise of this file."""
    plant = f"open('/tmp/planted', 'w').write({git.password!r})"
    execute(release, "server", ["python", "-c", plant])
    try:
        found = execute(release, "server", ["python", "-c", SEARCH, "/"], given=git.password)
        assert "/tmp/planted" in found.split()
    finally:
        execute(release, "server", ["python", "-c", "import os; os.unlink('/tmp/planted')"])


def test_no_log_and_no_event_has_the_password(cluster: Cluster, git: GitServer, release: Release) -> None:
    """Logs are collected and read by many."""
    logs = [cluster.kubectl("logs", pod["metadata"]["name"], "--all-containers") for pod in release.pods()]
    assert all("listening" in log and "git version" in log for log in logs)
    assert git.password not in "".join(logs)
    assert git.password not in cluster.kubectl("get", "events", "-o", "json")


def test_no_object_but_a_secret_has_the_password(cluster: Cluster, git: GitServer, install: Install) -> None:
    """Manifests are kept in repositories and shown in dashboards; Secrets are what access is limited to."""
    made_by_chart = {"https": {"username": "reader", "password": git.password}}
    release = install("owner", credentials=made_by_chart)
    kinds = "pods,deployments,replicasets,configmaps,services,serviceaccounts,poddisruptionbudgets"
    assert git.password not in cluster.kubectl("get", kinds, "-o", "json")
    manifests = cluster.helm("get", "manifest", release.name)
    assert git.password not in manifests
    assert git.password not in release.notes()
    (secret,) = [m for m in manifests.split("\n---") if "kind: Secret" in m]
    assert "password: " in secret
    cluster.wait_until(release.ready_pods, "the release with the chart's own Secret to serve", within=90)


def execute(release: Release, container: str, command: list[str], given: str | None = None) -> str:
    """Run a command in a container of the release's first pod."""
    pod = release.pods()[0]["metadata"]["name"]
    options = ["--stdin"] if given is not None else []
    return release.cluster.kubectl("exec", *options, pod, "-c", container, "--", *command, given=given)
