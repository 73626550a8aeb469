"""A namespace of the suite's own, the git server in it, and the releases that the promises are about."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, Images, run
from tests.e2e.release import Release
from tests.e2e.repository import GitServer, model

HERE = Path(__file__).resolve().parent
Install = Callable[..., Release]
#: A release that costs little: one pod, and a failed sync is tried again after seconds.
SMALL = {
    "replicaCount": 1,
    "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
}


def missing() -> str | None:
    """Return why the suite cannot run here, or None."""
    if not os.environ.get("KUBECONFIG"):
        return "set KUBECONFIG to a cluster for tests"
    if not os.environ.get("E2E_IMAGE"):
        return "set E2E_IMAGE to the server's image, as repository:tag"
    gone = [command for command in ("kubectl", "helm") if shutil.which(command) is None]
    return f"install {' and '.join(gone)}" if gone else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests the minutes that a cluster takes, or skip them where there is none."""
    reason = missing()
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(600))
            if reason:
                item.add_marker(
                    pytest.mark.skip(reason=f"needs a cluster: {reason}; see tests/e2e/README.md")
                )


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A namespace that admits nothing but pods of the restricted policy."""
    namespace = f"model-serving-e2e-{secrets.token_hex(3)}"
    cluster = Cluster(namespace, Images.from_env())
    run(["kubectl", "create", "namespace", namespace])
    try:
        policy = "pod-security.kubernetes.io/enforce=restricted"
        run(["kubectl", "label", "namespace", namespace, policy])
        cluster.wait_until(
            lambda: "default" in cluster.kubectl("get", "serviceaccounts", "-o", "name"),
            "the namespace's service account",
            within=30,
        )
        yield cluster
    finally:
        run(["kubectl", "delete", "namespace", namespace, "--timeout=150s"])


@pytest.fixture(scope="session")
def git(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> GitServer:
    """A repository with the models `constant` and `other`, behind a password that nobody has used before."""
    server = GitServer(cluster, tmp_path_factory.mktemp("author") / "clone", secrets.token_urlsafe(24))
    server.start()
    server.push({"constant": model("first"), "other": model("other")})
    return server


@pytest.fixture(scope="session")
def release(cluster: Cluster, git: GitServer) -> Release:
    """The release that most promises are about: default values, the images, the URL, the credentials."""
    one = Release(cluster, git, "models")
    one.install("--wait", "--timeout=5m")
    return one


@pytest.fixture
def install(cluster: Cluster, git: GitServer) -> Iterator[Install]:
    """Install further, small releases, which go at the end of the test."""
    installed: list[Release] = []

    def install(name: str, *options: str, **values: Any) -> Release:
        one = Release(cluster, git, name, **SMALL, **values)
        installed.append(one)
        one.install(*options)
        return one

    yield install
    git.become_reachable()
    for one in installed:
        one.uninstall()
