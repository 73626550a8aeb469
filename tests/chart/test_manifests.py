"""Every value file renders to objects that Kubernetes takes and that a security review lets through."""

from __future__ import annotations

import base64
import json
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest

from tests.chart.rendering import (
    CHART,
    Manifest,
    containers,
    deployed_pod,
    of_kind,
    pods,
    render,
    render_files,
    value_files,
    values_of,
)

OLDEST, NEWEST = "1.29", kubernetes_validate.latest_version()
#: Kinds that come with an operator; Kubernetes' own schemas do not know them.
FOREIGN = {
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "ScaledObject": "keda.sh/v1alpha1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
}
CANARIES = ("canary-https-password", "canary-ssh-key", "canary-app-key")


@pytest.fixture(params=value_files())
def values(request: pytest.FixtureRequest) -> dict[str, Any]:
    """One value file after the other."""
    return values_of(request.param)


@pytest.fixture
def manifests(values: dict[str, Any]) -> list[Manifest]:
    """What that value file renders to."""
    return render(values)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_takes_every_object(manifests: list[Manifest], version: str) -> None:
    """A field that Kubernetes does not know is refused or silently dropped at install."""
    for manifest in manifests:
        if manifest["kind"] in FOREIGN:
            assert manifest["apiVersion"] == FOREIGN[manifest["kind"]]
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_lint_is_clean(values: dict[str, Any]) -> None:
    """`helm lint --strict` stops a pipeline at the first warning."""
    report = helm.lint(CHART, values, strict=True)
    findings = [message for message in report["messages"] if message["severity"] >= 2]
    assert (findings, report["errors"]) == ([], [])


def test_lint_of_the_defaults_is_clean() -> None:
    """The chart is linted without values in many pipelines, repo.url empty."""
    report = helm.lint(CHART, {}, strict=True)
    assert (report["errors"], max(message["severity"] for message in report["messages"])) == ([], 1)


def test_objects_belong_to_the_release(manifests: list[Manifest]) -> None:
    """An object without the release's labels is left behind by tools that clean up by label."""
    for manifest in manifests:
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "models", manifest["metadata"]["name"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"


def test_object_names_do_not_collide(manifests: list[Manifest]) -> None:
    """Two objects of one kind and name overwrite each other."""
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(names) == len(set(names))


def test_no_container_has_privileges(manifests: list[Manifest]) -> None:
    """The `restricted` Pod Security Standard, and a read-only root, hold for every container."""
    for pod in pods(manifests):
        security = pod["securityContext"]
        assert (security["runAsNonRoot"], security["runAsUser"], security["fsGroup"]) == (True, 65533, 65533)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for name, container in containers(pod).items():
            expected = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["securityContext"] == expected, name


def test_no_pod_has_a_token(manifests: list[Manifest]) -> None:
    """Model code is other people's code: with a token it could talk to the API server."""
    assert [pod["automountServiceAccountToken"] for pod in pods(manifests)] == [False, False]
    account = [m for m in manifests if m["kind"] == "ServiceAccount"]
    assert [m["automountServiceAccountToken"] for m in account] == [False] * len(account)


def test_every_container_has_requests_and_a_memory_limit(manifests: list[Manifest]) -> None:
    """Without a limit one model's leak takes the node down; without requests the HPA has nothing to divide by."""
    for pod in pods(manifests):
        for name, container in containers(pod).items():
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
            assert "memory" in container["resources"]["limits"], name


def test_git_sync_has_no_cpu_limit(manifests: list[Manifest]) -> None:
    """Throttled to 20m, the first sync takes 19 seconds."""
    assert "cpu" not in containers(deployed_pod(manifests))["git-sync"]["resources"]["limits"]


def test_credentials_stand_in_the_secret_alone(values: dict[str, Any]) -> None:
    """Whoever may read Deployments and ConfigMaps must not find the password there, nor in the notes."""
    for path, text in render_files(values).items():
        if path.endswith("/secret.yaml"):
            continue
        for canary in CANARIES:
            assert canary not in text, path
            assert base64.b64encode(canary.encode()).decode()[:-4] not in text, path


def test_credentials_are_mounted_in_git_sync_alone(manifests: list[Manifest]) -> None:
    """Model code could read a password that its own container has."""
    for pod in pods(manifests):
        for name, container in containers(pod).items():
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            if name == "git-sync":
                assert {"git", "git-tmp"} <= mounted
            else:
                assert not mounted & {"git-credentials", "git-tmp"}, name


def test_secret_has_the_credential() -> None:
    """A Secret with a mangled key lets nobody in; ssh refuses a key without a last newline."""
    found = {}
    for name in ("private-https", "ssh", "github-app"):
        data = of_kind(render(values_of(name)), "Secret")["data"]
        found |= {key: base64.b64decode(value).decode() for key, value in data.items()}
    assert found == {
        "password": "canary-https-password",
        "ssh-privatekey": values_of("ssh")["credentials"]["ssh"]["privateKey"],
        "github-app-private-key": values_of("github-app")["credentials"]["githubApp"]["privateKey"],
    }


def test_pods_share_neither_processes_nor_service_variables(manifests: list[Manifest]) -> None:
    """With shared processes the server reads git-sync's files under /proc; a Service named so becomes a setting."""
    pod = deployed_pod(manifests)
    assert (pod["shareProcessNamespace"], pod["enableServiceLinks"]) == (False, False)


def test_the_server_cannot_write_the_checkout(manifests: list[Manifest]) -> None:
    """A model that writes beside its files must not change what the next commit is compared with."""
    for pod in pods(manifests):
        for name, container in containers(pod).items():
            mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
            if name != "git-sync" and "git" in mounts:
                assert mounts["git"] == {"name": "git", "mountPath": "/git", "readOnly": True}


def test_json_in_the_dashboard_survives_the_template() -> None:
    """Grafana's own braces look like Helm's."""
    data = of_kind(
        [m for m in render(values_of("monitoring")) if m["metadata"]["name"].endswith("-dashboard")],
        "ConfigMap",
    )["data"]
    (text,) = data.values()
    assert json.loads(text) == json.loads((CHART / "files" / "dashboard.json").read_text())
