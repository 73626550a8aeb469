"""The sidecar: each flag and probe prevents a failure of git-sync that was measured."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.rendering import Manifest, containers, deployed_pod, merged, of_kind, pods, render, values_of


def sidecar(name: str = "minimal", **changes: Any) -> Manifest:
    """Return the git-sync container for a value file with changes."""
    return containers(deployed_pod(render(merged(values_of(name), **changes))))["git-sync"]


def flags(container: Manifest) -> dict[str, str | None]:
    """Return the flags as a dict; one without a value is None."""
    pairs = [argument.removeprefix("--").partition("=") for argument in container["args"]]
    return {name: value if equals else None for name, equals, value in pairs}


def test_flags_of_the_defaults() -> None:
    """Retries without end, a sync on SIGHUP, a link that the server reads, errors outside of the root, metrics."""
    assert flags(sidecar()) == {
        "repo": "https://git.example.com/team/models.git",
        "ref": "HEAD",
        "root": "/git",
        "link": "current",
        "depth": "1",
        "submodules": "recursive",
        "sync-timeout": "30m",
        "git-config": "http.lowSpeedLimit:1000,http.lowSpeedTime:60,core.bigFileThreshold:1m",
        "verbose": "0",
        "period": "24h",
        "max-failures": "-1",
        "stale-worktree-timeout": "10m",
        "sync-on-signal": "SIGHUP",
        "error-file": "/tmp/sync-error.json",
        "http-bind": ":9091",
        "http-metrics": None,
    }


def test_it_is_a_native_sidecar() -> None:
    """The server starts after the first sync, and git-sync outlives it while it drains."""
    pod = deployed_pod(render(values_of("minimal")))
    assert [c["name"] for c in pod["containers"]] == ["server"]
    assert sidecar()["restartPolicy"] == "Always"


def test_only_the_link_decides_that_it_started() -> None:
    """Over HTTP, a restart while git is down takes serving pods away; any other probe restarts what is well."""
    container = sidecar()
    assert container["startupProbe"]["exec"] == {"command": ["test", "-L", "/git/current"]}
    assert container["startupProbe"]["failureThreshold"] == 2**31 - 1
    assert [name for name in container if name.endswith("Probe")] == ["startupProbe"]


def test_the_reason_of_an_exit_shows_in_describe() -> None:
    """`kubectl describe pod` is where people look first."""
    assert sidecar()["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_a_dead_ssh_connection_ends() -> None:
    """A connection to a host that went away would hang for ever; git-sync's timeout does not end it."""
    (command,) = [e["value"] for e in sidecar()["env"] if e["name"] == "GIT_SSH_COMMAND"]
    for option in ("BatchMode=yes", "ConnectTimeout=30", "ServerAliveInterval=15", "ServerAliveCountMax=4"):
        assert f"-o {option}" in command


def test_nothing_of_git_sync_is_configured_by_environment() -> None:
    """git-sync ignores a misspelt variable and stops at a misspelt flag."""
    names = {variable["name"] for variable in sidecar("everything")["env"]}
    assert names == {"GIT_SSH_COMMAND", "SYNC_RETRY_SECONDS", "HTTPS_PROXY"}


def test_a_failed_sync_is_retried_after_the_retry_period() -> None:
    """Left alone, git-sync waits a whole day after a failure."""
    (seconds,) = [e["value"] for e in sidecar("everything")["env"] if e["name"] == "SYNC_RETRY_SECONDS"]
    assert seconds == "30"


def test_the_wrapper_survives_kubernetes_expansion() -> None:
    """Kubernetes reads $(NAME) in a command as a variable, and two dollar signs as one."""
    shell, option, script, name = sidecar()["command"]
    assert (shell, option, name) == ("bash", "-c", "git-sync")
    assert "$$" not in script
    assert "$(" not in script


def test_an_https_credential_is_a_file() -> None:
    """A password among the flags shows in the process list, one in the environment to whoever may exec."""
    container = sidecar("private-https")
    assert flags(container)["username"] == "reader"
    assert flags(container)["password-file"] == "/etc/git-secret/password"
    assert credential_files("private-https") == {"password": "password"}


def test_an_existing_secret_is_read_by_its_own_keys() -> None:
    """Secrets that another system writes have the keys that it likes."""
    volume = credentials_volume("existing-secret")
    assert volume["projected"]["sources"][0]["secret"]["name"] == "models-git"
    assert credential_files("existing-secret") == {"token": "password"}


def test_an_ssh_key_comes_with_known_hosts() -> None:
    """Without known_hosts ssh trusts whoever answers."""
    given = flags(sidecar("ssh"))
    assert given["ssh-key-file"] == "/etc/git-secret/ssh"
    assert given["ssh-known-hosts-file"] == "/etc/git-secret/known_hosts"
    assert credential_files("ssh") == {"ssh-privatekey": "ssh", "known_hosts": "known_hosts"}
    assert credential_files("everything") == {"ssh-privatekey": "ssh", "known_hosts": "known_hosts"}


def test_a_github_app_has_its_ids_as_written() -> None:
    """YAML's numbers print as 9.876543e+07 when nobody takes care."""
    given = flags(sidecar("github-app"))
    assert given["github-app-application-id"] == "123456"
    assert given["github-app-installation-id"] == "98765432"
    assert given["github-app-private-key-file"] == "/etc/git-secret/github-app-private-key"
    assert given["github-base-url"] == "https://github.example.com/api/v3/"
    assert credential_files("github-app") == {"github-app-private-key": "github-app-private-key"}


def test_credentials_are_readable_by_their_owner_alone() -> None:
    """A key that others can read is refused by ssh; fsGroup makes 0440 of 0400, which it takes."""
    assert credentials_volume("ssh")["projected"]["defaultMode"] == 0o400


def test_an_authority_of_your_own_is_trusted_by_git() -> None:
    """A git host with a private certificate authority is common inside companies."""
    container = sidecar("existing-secret")
    variables = {e["name"]: e["value"] for e in container["env"]}
    assert variables["GIT_SSL_CAINFO"] == "/etc/git-ca/ca.crt"
    assert {"name": "git-ca", "mountPath": "/etc/git-ca", "readOnly": True} in container["volumeMounts"]


def test_the_server_reads_what_git_sync_links() -> None:
    """The models root is the link's target, or a folder below it."""
    settings = {name: _settings(name)["MODELS_DIR"] for name in ("minimal", "subfolder", "everything")}
    assert settings == {
        "minimal": "/git/current",
        "subfolder": "/git/current/serving/models",
        "everything": "/git/current/models",
    }


@pytest.mark.parametrize("name", ["minimal", "private-https", "everything"])
def test_the_test_pod_syncs_as_the_sidecar_does(name: str) -> None:
    """`helm test` also proves the credentials: it fetches the rows that it scores."""
    test_pod = pods(render(values_of(name)))[1]
    once = [*containers(test_pod)["git-sync"]["args"]]
    assert once.pop() == "--one-time"
    assert set(once) < set(sidecar(name)["args"])


def test_a_named_model_is_scored_without_the_repository() -> None:
    """With a row among the values there is nothing to fetch."""
    (container,) = containers(pods(render(values_of("one-replica")))[1]).values()
    given = {e["name"]: e["value"] for e in container["env"]}
    assert given["MODEL"] == "breast_cancer"
    assert given["ROW"] == '{"variables":{"mean_radius":14.2}}'


def credentials_volume(name: str) -> Manifest:
    """Return the volume with the credentials."""
    (volume,) = [
        v for v in deployed_pod(render(values_of(name)))["volumes"] if v["name"] == "git-credentials"
    ]
    return volume


def credential_files(name: str) -> dict[str, str]:
    """Return which key becomes which file."""
    sources = credentials_volume(name)["projected"]["sources"]
    items = [item for source in sources for part in source.values() for item in part["items"]]
    return {item["key"]: item["path"] for item in items}


def _settings(name: str) -> dict[str, str]:
    manifests = [m for m in render(values_of(name)) if "MODELS_DIR" in m.get("data", {})]
    data: dict[str, str] = of_kind(manifests, "ConfigMap")["data"]
    return data
