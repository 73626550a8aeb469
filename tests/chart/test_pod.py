"""The Deployment: what keeps requests alive through rollouts, pauses and restarts."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.chart.rendering import (
    CHART,
    URL,
    Manifest,
    containers,
    deployed_pod,
    merged,
    of_kind,
    render,
    values_of,
)


def deployment(**changes: Any) -> Manifest:
    """Return the Deployment of the minimal values with changes."""
    return of_kind(render(merged(URL, **changes)), "Deployment")


def server(**changes: Any) -> Manifest:
    """Return the server's container."""
    return containers(deployment(**changes)["spec"]["template"]["spec"])["server"]


def patience_seconds(probe: Manifest) -> int:
    """Return how long a probe may fail before something happens."""
    seconds: int = probe["periodSeconds"] * probe["failureThreshold"]
    return seconds


def test_an_upgrade_never_takes_a_pod_before_its_successor_is_ready() -> None:
    """With maxUnavailable at its default of 25% a release of two pods runs on one."""
    strategy = deployment()["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_liveness_bears_the_pause_of_a_large_pickle() -> None:
    """C code that holds the GIL stops every answer; a restart would only load the same file again."""
    probe = server()["livenessProbe"]
    assert probe["httpGet"]["path"] == "/healthz"
    assert patience_seconds(probe) >= 180


def test_a_slow_start_is_no_reason_to_restart() -> None:
    """The startup probe asks whether the process answers, never whether models or git do."""
    probe = server()["startupProbe"]
    assert probe["httpGet"]["path"] == "/healthz"
    assert patience_seconds(probe) >= 600


def test_readiness_alone_looks_at_models() -> None:
    """A pod whose models do not serve leaves the Service and is left running."""
    assert server()["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_the_default_drain_fits_into_the_grace_period_with_a_whole_request() -> None:
    """A call that began just before the drain delay ended may still take its whole deadline."""
    settings = values()["settings"]
    needed = settings["DRAIN_DELAY_SECONDS"] + settings["REQUEST_TIMEOUT_SECONDS"]
    assert needed <= settings["SHUTDOWN_TIMEOUT_SECONDS"]
    grace = deployment()["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert settings["SHUTDOWN_TIMEOUT_SECONDS"] < grace


def values() -> dict[str, Any]:
    """Return the chart's defaults."""
    defaults: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return defaults


def test_the_pre_stop_sleep_needs_no_shell() -> None:
    """The image has none, and Kubernetes 1.29 has no sleep of its own."""
    hook = server(preStopSleepSeconds=5)["lifecycle"]["preStop"]["exec"]["command"]
    assert hook == ["python", "-c", "import time; time.sleep(5)"]
    assert "lifecycle" not in server()


@pytest.mark.parametrize("scaler", ["autoscaling", "keda"])
def test_a_scaler_owns_the_number_of_pods(scaler: str) -> None:
    """Beside an HPA, `replicas` makes Helm 4's upgrade fail with a conflict."""
    assert deployment()["spec"]["replicas"] == 2
    extra = {"serverAddress": "http://prometheus", "query": "1"} if scaler == "keda" else {}
    assert "replicas" not in deployment(**{scaler: {"enabled": True, **extra}})["spec"]


@pytest.mark.parametrize(
    ("change", "annotation"),
    [
        ({"settings": {"THREADS": 64}}, "checksum/settings"),
        ({"baseUrl": "other"}, "checksum/settings"),
        ({"credentials": {"https": {"password": "new"}}}, "checksum/credentials"),
        ({"repo": {"caBundle": "new"}}, "checksum/git"),
    ],
)
def test_a_changed_setting_rolls_the_pods(change: dict[str, Any], annotation: str) -> None:
    """A ConfigMap that changes under running pods changes nothing for them."""

    def checksum(**changes: Any) -> str:
        annotations = deployment(**changes)["spec"]["template"]["metadata"]["annotations"]
        return str(annotations[annotation])

    assert checksum() == checksum()
    assert checksum(**change) != checksum()


def test_an_upgrade_can_find_its_pods_again() -> None:
    """A selector cannot be changed: labels of a version or of the user must not be in it."""
    selector = deployment(commonLabels={"a": "b"}, podLabels={"app.kubernetes.io/name": "x"})["spec"][
        "selector"
    ]
    assert selector["matchLabels"] == {
        "app.kubernetes.io/name": "model-serving",
        "app.kubernetes.io/instance": "models",
        "app.kubernetes.io/component": "server",
    }


def test_pods_spread_over_nodes_and_zones() -> None:
    """Two pods on one node are lost together."""
    constraints = deployment()["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [c["topologyKey"] for c in constraints] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    selector = deployment()["spec"]["selector"]
    assert [c["labelSelector"] for c in constraints] == [selector, selector]


def test_state_outlives_the_container() -> None:
    """The last good versions must be there when a push has killed the process."""
    pod = deployed_pod(render(URL))
    assert {"name": "state", "emptyDir": {}} in pod["volumes"]
    assert {"name": "state", "mountPath": "/state"} in server()["volumeMounts"]


def test_a_claim_that_mounts_once_stops_the_old_pod_first() -> None:
    """With a rolling update the new pod would wait for the volume for ever."""
    manifests = render(values_of("one-replica"))
    assert of_kind(manifests, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert of_kind(manifests, "PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteOnce"]
    claim = {"claimName": "models-model-serving-state"}
    assert {"name": "state", "persistentVolumeClaim": claim} in deployed_pod(manifests)["volumes"]


def test_images_by_digest() -> None:
    """A digest pins what a tag may move; it wins over the tag."""
    images = {n: c["image"] for n, c in containers(deployed_pod(render(values_of("one-replica")))).items()}
    assert images["server"].startswith("registry.example.com/model-serving-framework@sha256:0123")
    assert images["git-sync"].startswith("registry.k8s.io/git-sync/git-sync@sha256:abcd")
    assert server(image={"tag": "7"})["image"] == "model-serving-framework:7"


def test_what_the_user_adds_arrives() -> None:
    """Environment, volumes and arguments are how a model reaches its database."""
    container = containers(deployed_pod(render(values_of("everything"))))["server"]
    assert {"name": "OMP_NUM_THREADS", "value": "4"} in container["env"]
    assert {"secretRef": {"name": "warehouse"}} in container["envFrom"]
    assert {"name": "features", "mountPath": "/features", "readOnly": True} in container["volumeMounts"]
    assert container["args"] == ["serve"]


def test_the_hpa_looks_at_the_server_alone() -> None:
    """A Resource metric counts git-sync's request too, and fails when it has none."""
    spec = of_kind(render(values_of("hpa")), "HorizontalPodAutoscaler")["spec"]
    assert [(m["type"], m["containerResource"]["container"]) for m in spec["metrics"]] == [
        ("ContainerResource", "server"),
        ("ContainerResource", "server"),
    ]
    targets = {m["containerResource"]["name"]: m["containerResource"]["target"] for m in spec["metrics"]}
    assert targets == {
        "cpu": {"type": "Utilization", "averageUtilization": 75},
        "memory": {"type": "Utilization", "averageUtilization": 80},
    }
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 10)


def test_keda_counts_the_calls_that_wait() -> None:
    """Calls inside a model stop growing at its concurrency: alone they never ask for more than that."""
    (trigger,) = of_kind(render(values_of("keda")), "ScaledObject")["spec"]["triggers"]
    series = 'namespace="serving",job="models-model-serving"'
    assert trigger["metadata"]["query"] == (
        f"sum(model_requests_in_progress{{{series}}}) + sum(model_requests_waiting{{{series}}})"
    )
    assert (trigger["metricType"], trigger["metadata"]["threshold"]) == ("AverageValue", "8")
    assert trigger["authenticationRef"] == {"name": "prometheus"}


def test_a_pod_that_is_not_ready_does_not_block_a_drain() -> None:
    """A pod that waits for an unreachable repository would keep its node from being drained for ever."""
    spec = of_kind(render(URL), "PodDisruptionBudget")["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
