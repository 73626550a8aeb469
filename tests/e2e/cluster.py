"""Talk to the cluster that KUBECONFIG names, the way its operator does: with kubectl and helm."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.processes import Found, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
CHART = REPOSITORY / "charts" / "model-serving"
IN_PODS = Path(__file__).resolve().parent / "in_pods"


class CommandFailed(AssertionError):
    """kubectl or helm ended with another code than 0."""


@dataclass(frozen=True)
class Images:
    """The two images, as `repository:tag`, that the cluster's nodes must be able to start."""

    server: str
    git_sync: str

    @classmethod
    def from_env(cls) -> Images:
        """Read E2E_IMAGE and E2E_GIT_SYNC_IMAGE; the second defaults to the chart's."""
        values = yaml.safe_load((CHART / "values.yaml").read_text())["gitSync"]["image"]
        default = f"{values['repository']}:{values['tag']}"
        return cls(os.environ["E2E_IMAGE"], os.environ.get("E2E_GIT_SYNC_IMAGE", default))

    def values(self) -> dict[str, Any]:
        """Return them as values of the chart."""
        return {"image": named(self.server), "gitSync": {"image": named(self.git_sync)}}


def named(image: str) -> dict[str, str]:
    """Split an image's name into repository and tag."""
    repository, colon, tag = image.rpartition(":")
    assert colon, f"write {image!r} as repository:tag"
    return {"repository": repository, "tag": tag}


@dataclass(frozen=True)
class Answer:
    """What an HTTP request from inside of the cluster was answered; status 0: no answer at all."""

    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.text)


class Cluster:
    """One namespace of the cluster.

    Args:
        namespace: Its name.
        images: What runs in it.
    """

    def __init__(self, namespace: str, images: Images) -> None:
        self.namespace = namespace
        self.images = images

    def kubectl(self, *arguments: str, given: str | None = None, timeout: float = 180) -> str:
        """Run kubectl in the namespace; return what it prints."""
        return run(["kubectl", "--namespace", self.namespace, *arguments], given, timeout)

    def says(self, *arguments: str) -> str:
        """Return what kubectl prints, or what it complains about: for questions that may come too early."""
        try:
            return self.kubectl(*arguments)
        except CommandFailed as error:
            return str(error)

    def helm(self, *arguments: str, given: str | None = None, timeout: float = 400) -> str:
        """Run helm in the namespace; return what it prints."""
        return run(["helm", "--namespace", self.namespace, *arguments], given, timeout)

    def apply(self, manifest: str) -> None:
        """Create or change objects."""
        self.kubectl("apply", "-f", "-", given=manifest)

    def get(self, *what: str) -> dict[str, Any]:
        """Return one object, or a list of them."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *what, "-o", "json"))
        return found

    def make_secret(self, name: str, **content: str) -> None:
        """Create or replace a Secret."""
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": content}
        self.apply(json.dumps(secret))

    def ask(self, url: str, body: Any = None) -> Answer:
        """Send a request from inside of the cluster: a POST when there is a *body*, else a GET."""
        given = json.dumps([url, body])
        return Answer(**json.loads(self.kubectl("exec", "client", "--", "python", "/scripts/ask.py", given)))

    def wait_until(self, probe: Callable[[], Found | None], what: str, within: float) -> Found:
        """Wait like the other tests, but show the pods and the last events when it is in vain."""
        return wait_until(probe, what, within, about=self.describe)

    def describe(self) -> str:
        """Return what an operator looks at first."""
        pods = self.kubectl("get", "pods", "-o", "wide")
        events = self.kubectl("get", "events", "--sort-by=.lastTimestamp").splitlines()[-15:]
        return "\n".join([pods, *events])


def run(command: list[str], given: str | None = None, timeout: float = 180) -> str:
    """Run a command; return what it prints, or fail with what it complains about."""
    done = subprocess.run(command, input=given, check=False, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout
