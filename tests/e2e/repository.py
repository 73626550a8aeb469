"""The repository that the suite serves to the cluster, and pushes to as an author does."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from string import Template

from tests.e2e.cluster import IN_PODS, Cluster
from tests.publishing import IDENTITY, write_tree

USERNAME = "reader"
SECRET = "git-server"

MODEL = """
class Constant:
    def __init__(self):
        {construct}

    def transform_predict(self) -> dict:
        return {{"answer": {answer!r}}}
"""


def model(answer: object, construct: str = "pass") -> dict[str, str]:
    """Return the files of a model that always answers *answer*."""
    return {
        "etls.py": MODEL.format(answer=answer, construct=construct),
        "example.json": json.dumps({"variables": {"x": 1}}),
    }


class GitServer:
    """A repository behind HTTP and a password, in a pod of the cluster; and the author's clone of it.

    Attributes:
        url: Where the cluster finds it.
        password: What opens it.
    """

    def __init__(self, cluster: Cluster, clone: Path, password: str) -> None:
        self._cluster = cluster
        self._clone = clone
        self.password = password
        self.url = f"http://git.{cluster.namespace}/models.git"

    def start(self) -> None:
        """Start the pods that the suite brings along, and make the clone."""
        images = self._cluster.images
        self._cluster.make_secret(SECRET, password=self.password)
        self._cluster.kubectl("create", "configmap", "scripts", f"--from-file={IN_PODS}")
        pods = Template((IN_PODS / "pods.yaml").read_text())
        self._cluster.apply(
            pods.substitute(server_image=images.server, git_sync_image=images.git_sync, username=USERNAME)
        )
        self._cluster.kubectl("wait", "--for=condition=Ready", "pod/git", "pod/client", "--timeout=120s")
        self._clone.mkdir()
        self._git("init", "-q", "-b", "main")

    def push(self, files: Mapping[str, Mapping[str, str]]) -> str:
        """Commit these folders of files, push, and return the commit's id."""
        for folder, content in files.items():
            write_tree(self._clone / folder, content)
        self._git("add", "-A")
        self._git("commit", "-q", "-m", "change")
        remote = (
            f"ext::kubectl --namespace {self._cluster.namespace} exec -i git -c git -- git %s /srv/models.git"
        )
        self._git("-c", "protocol.ext.allow=always", "push", "-q", remote, "main")
        return self._git("rev-parse", "HEAD")

    def become_unreachable(self) -> None:
        """Refuse every connection; the repository stays as it is."""
        self._select("nobody", 0)

    def become_reachable(self) -> None:
        """Be there again."""
        self._select("git", 200)

    def _select(self, label: str, status: int) -> None:
        selector = json.dumps({"spec": {"selector": {"app": label}}})
        self._cluster.kubectl("patch", "service", "git", "-p", selector)
        self._cluster.wait_until(
            lambda: self._cluster.ask(self.url.replace("models.git", "alive")).status == status,
            f"the nodes to route requests to {label}",
            within=30,
        )

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self._clone,
            env={**os.environ, **IDENTITY},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
