"""One installed release of the chart, and how its operator and its callers see it."""

from __future__ import annotations

from typing import Any

import yaml

from tests.e2e.cluster import CHART, Answer, Cluster, CommandFailed, run
from tests.e2e.repository import SECRET, USERNAME, GitServer


class Release:
    """A release, whose Secret with the repository's password exists already.

    Args:
        cluster: Where it is installed.
        git: The repository that it serves.
        name: Its name.
        values: What it is given beside the images, the URL and the credentials.
    """

    def __init__(self, cluster: Cluster, git: GitServer, name: str, **values: Any) -> None:
        self.cluster = cluster
        self.name = name
        self.fullname = name if "model-serving" in name else f"{name}-model-serving"
        self.url = f"http://{self.fullname}/models_serve"
        self._given = {
            "repo": {"url": git.url},
            "credentials": {"existingSecret": SECRET, "https": {"username": USERNAME}},
            **values,
        }
        for name_of_part, images in cluster.images.values().items():
            self._given[name_of_part] = images | self._given.get(name_of_part, {})

    def install(self, *options: str) -> str:
        """Install it; return the notes that helm prints."""
        return self._helm("install", options, {})

    def upgrade(self, *options: str, **changes: Any) -> str:
        """Upgrade it with *changes* on top of its values, and wait until the new pods serve."""
        return self._helm("upgrade", ("--wait", "--timeout=5m", *options), changes)

    def _helm(self, verb: str, options: tuple[str, ...], changes: dict[str, Any]) -> str:
        given = yaml.safe_dump(self._given | changes)
        try:
            return self.cluster.helm(verb, self.name, str(CHART), "--values=-", *options, given=given)
        except CommandFailed as error:
            raise CommandFailed(f"{error}\n{self.cluster.describe()}\n{self.all_logs()}") from None

    def uninstall(self) -> None:
        """Remove it and wait until its pods are gone."""
        self.cluster.helm("uninstall", self.name, "--wait")

    def notes(self) -> str:
        """Return the notes, as `helm get notes` shows them."""
        return self.cluster.helm("get", "notes", self.name)

    def sync_now(self) -> None:
        """Run the command that the notes give for it, as it stands there."""
        (command,) = [line.strip() for line in self.notes().splitlines() if "kill -HUP" in line]
        run(["bash", "-c", command])

    def pods(self) -> list[dict[str, Any]]:
        """Return its server pods that are not about to end."""
        label = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component=server"
        pods = self.cluster.get("pods", "--selector", label)["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def pod(self) -> str:
        """Return the name of its one pod."""
        (pod,) = self.pods()
        return str(pod["metadata"]["name"])

    def ready_pods(self) -> list[dict[str, Any]]:
        """Return its pods that take requests."""
        return [pod for pod in self.pods() if is_ready(pod)]

    def score(self, model: str) -> Answer:
        """Score a row through the Service."""
        return self.cluster.ask(f"{self.url}/{model}", {"variables": {"x": 1}})

    def score_in(self, pod: dict[str, Any], model: str) -> Answer:
        """Score a row in one of the pods."""
        address = f"http://{pod['status']['podIP']}:8080/models_serve/{model}"
        return self.cluster.ask(address, {"variables": {"x": 1}})

    def answers(self, model: str) -> list[Any]:
        """Return what a constant model answers in each pod, or the status when it does not answer."""
        found = [self.score_in(pod, model) for pod in self.ready_pods()]
        return [answer.json()["answer"] if answer.status == 200 else answer.status for answer in found]

    def wait_for_answer(self, model: str, answer: object, within: float = 30) -> None:
        """Wait until every pod answers *answer*."""
        self.cluster.wait_until(
            lambda: set(self.answers(model)) == {answer} or None,
            f"every pod to answer {answer!r}",
            within,
        )

    def status(self, model: str) -> dict[str, Any]:
        """Return the model's entry on the status page."""
        return next((entry for entry in self.page()["models"] if entry["name"] == model), {})

    def page(self) -> dict[str, Any]:
        """Return the status page, as the Service's next pod shows it."""
        found: dict[str, Any] = self.cluster.ask(f"{self.url}/").json()
        return found

    def page_of(self, pod: dict[str, Any]) -> dict[str, Any]:
        """Return the status page of one pod."""
        found: dict[str, Any] = self.cluster.ask(f"http://{pod['status']['podIP']}:8080/").json()
        return found

    def restarts(self, pod: str, container: str) -> int:
        """Return how often a container was restarted."""
        return int(container_status(self.cluster.get("pod", pod), container)["restartCount"])

    def end_server(self, pod: str) -> None:
        """Have the server's process end in the pod, which the kubelet answers with a new container."""
        command = ["python", "-c", "import os, signal; os.kill(1, signal.SIGTERM)"]
        self.cluster.kubectl("exec", pod, "-c", "server", "--", *command)

    def logs(self, container: str) -> str:
        """Return the log of one container, or why there is none yet."""
        return self.cluster.says("logs", f"deployment/{self.fullname}", "-c", container)

    def all_logs(self) -> str:
        """Return the last lines of every container of every pod."""
        selector = f"app.kubernetes.io/instance={self.name}"
        options = ("--all-containers", "--prefix", "--ignore-errors", "--tail=30")
        return self.cluster.kubectl("logs", "--selector", selector, *options)


def is_ready(pod: dict[str, Any]) -> bool:
    """Tell whether a pod takes requests."""
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def container_status(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what the pod's status says of one of its containers."""
    status = pod["status"]
    found: list[dict[str, Any]] = status.get("initContainerStatuses", []) + status.get(
        "containerStatuses", []
    )
    return next(entry for entry in found if entry["name"] == name)
