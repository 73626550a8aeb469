"""How requests get in: Service, Ingress, HTTPRoute, NetworkPolicy, and what the notes tell to type."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from tests.chart.rendering import URL, Manifest, merged, of_kind, render, render_files, values_of


def notes(**changes: Any) -> str:
    """Return what `helm install` prints."""
    return render_files(merged(URL, **changes))["model-serving/templates/NOTES.txt"]


def ingress(**changes: Any) -> Manifest:
    """Return the Ingress."""
    return of_kind(render(merged(URL, ingress={"enabled": True, **changes})), "Ingress")


def paths(rule: Manifest) -> list[tuple[str, str]]:
    """Return path and type of a rule of an Ingress."""
    return [(p["path"], p["pathType"]) for p in rule["http"]["paths"]]


def test_the_service_is_on_port_80() -> None:
    """Callers use the address without a port; the server itself may not open 80."""
    (port,) = of_kind(render(URL), "Service")["spec"]["ports"]
    assert port == {"name": "http", "port": 80, "targetPort": "http"}


def test_ingress_passes_base_url_on_as_it_is() -> None:
    """By default nothing is rewritten, and /metrics is not reachable from outside."""
    found = ingress(hosts=["models.example.com"])
    (rule,) = found["spec"]["rules"]
    assert found["spec"]["ingressClassName"] == "nginx"
    assert (rule["host"], paths(rule)) == ("models.example.com", [("/models_serve", "Prefix")])
    assert "annotations" not in found["metadata"]
    assert rule["http"]["paths"][0]["backend"]["service"] == {
        "name": "models-model-serving",
        "port": {"name": "http"},
    }


@pytest.mark.parametrize(
    ("base_url", "asked", "got"),
    [
        ("models_serve", "/scores/iris", "/models_serve/iris"),
        ("models_serve", "/scores/", "/models_serve/"),
        ("models_serve", "/scores", "/models_serve/"),
        ("a/b", "/scores/iris/ready", "/a/b/iris/ready"),
        ("", "/scores/iris", "/iris"),
    ],
)
def test_a_rewrite_replaces_the_path_outside_by_base_url(base_url: str, asked: str, got: str) -> None:
    """ingress-nginx matches the path as a regular expression and puts the groups into the target."""
    found = of_kind(
        render(merged(URL, baseUrl=base_url, ingress={"enabled": True, "rewrite": True, "path": "/scores"})),
        "Ingress",
    )
    ((pattern, kind),) = paths(found["spec"]["rules"][0])
    target = found["metadata"]["annotations"]["nginx.ingress.kubernetes.io/rewrite-target"]
    assert kind == "ImplementationSpecific"
    assert found["metadata"]["annotations"]["nginx.ingress.kubernetes.io/use-regex"] == "true"
    match = re.match(pattern, asked)
    assert match is not None
    assert target.replace("$2", match[2]) == got
    assert re.match(pattern, "/scores-of-others/iris") is None


def test_ingress_of_every_path() -> None:
    """Without a baseUrl everything is passed on, and the notes say what that shows to the world."""
    changes = {"baseUrl": "", "ingress": {"enabled": True}}
    assert paths(of_kind(render(merged(URL, **changes)), "Ingress")["spec"]["rules"][0]) == [("/", "Prefix")]
    assert "WARNING: the Ingress passes every path on, /metrics and /healthz too" in notes(**changes)


def test_http_route_rewrites_when_the_paths_differ() -> None:
    """The Gateway API's own filter does it, for every implementation."""
    rule = http_route(path="/scores")["spec"]["rules"][0]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/scores"}}]
    assert rule["filters"][0]["urlRewrite"]["path"] == {
        "type": "ReplacePrefixMatch",
        "replacePrefixMatch": "/models_serve",
    }
    assert rule["backendRefs"] == [{"name": "models-model-serving", "port": 80}]
    assert "filters" not in http_route()["spec"]["rules"][0]


def http_route(**changes: Any) -> Manifest:
    """Return the HTTPRoute."""
    values = {"enabled": True, "parentRefs": [{"name": "gateway"}], **changes}
    return of_kind(render(merged(URL, httpRoute=values)), "HTTPRoute")


def test_network_policy_lets_the_test_in() -> None:
    """A policy that names who may call would otherwise fail `helm test`."""
    manifests = render(values_of("everything"))
    policy = of_kind(manifests, "NetworkPolicy")["spec"]
    test_labels = of_kind(manifests, "Pod")["metadata"]["labels"]
    callers = [
        peer["podSelector"]["matchLabels"] for peer in policy["ingress"][0]["from"] if "podSelector" in peer
    ]
    assert len(callers) == 1
    assert callers[0].items() <= test_labels.items()
    assert policy["egress"][0] == {
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    }


def test_nobody_takes_the_test_pod_for_a_server() -> None:
    """A Service that selected it would send it requests."""
    manifests = render(URL)
    selector = of_kind(manifests, "Service")["spec"]["selector"]
    assert not selector.items() <= of_kind(manifests, "Pod")["metadata"]["labels"].items()


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "http://127.0.0.1:8080/models_serve/MODEL"),
        ({"baseUrl": ""}, "http://127.0.0.1:8080/MODEL"),
        (
            {"ingress": {"enabled": True, "hosts": ["a.example.com"]}},
            "http://a.example.com/models_serve/MODEL",
        ),
        (
            {"ingress": {"enabled": True, "hosts": ["a.example.com"], "tls": [{"secretName": "t"}]}},
            "https://a.example.com/models_serve/MODEL",
        ),
        (
            {"ingress": {"enabled": True, "hosts": ["a.example.com"], "path": "/s", "rewrite": True}},
            "http://a.example.com/s/MODEL",
        ),
        (
            {"ingress": {"enabled": True, "hosts": ["a.example.com"], "path": "/"}},
            "http://a.example.com/models_serve/MODEL",
        ),
        (
            {"httpRoute": {"enabled": True, "hostnames": ["b.example.com"], "parentRefs": [{"name": "g"}]}},
            "http://b.example.com/models_serve/MODEL",
        ),
        (
            {"service": {"type": "LoadBalancer", "port": 8000}},
            "http://$(kubectl get service -n serving models-model-serving "
            "-o jsonpath='{.status.loadBalancer.ingress[0].ip}'):8000/models_serve/MODEL",
        ),
    ],
)
def test_notes_have_a_curl_that_can_be_pasted(changes: dict[str, Any], address: str) -> None:
    """The first thing that anybody does is to paste it."""
    (line,) = [line.strip() for line in notes(**changes).splitlines() if "curl -H" in line]
    assert line.endswith(address)
    assert shlex.split(line)[:5] == [
        "curl",
        "-H",
        "Content-Type: application/json",
        "-d",
        '{"variables": {"NAME": "VALUE"}}',
    ]


def test_notes_say_where_the_reason_is() -> None:
    """With wrong credentials `--wait` says only "Available: 0/2", and `kubectl logs` "waiting to start"."""
    assert "kubectl logs -n serving deployment/models-model-serving -c git-sync" in notes()


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"repo": {"ref": "a" * 40}}, "It is fetched once; pushes never arrive."),
        (
            {"repo": {"url": "http://git/m.git"}, "credentials": {"existingSecret": "s"}},
            "the password goes over the network as it is",
        ),
        (
            {"settings": {"REQUEST_TIMEOUT_SECONDS": 60}},
            "Write settings.SHUTDOWN_TIMEOUT_SECONDS=65 and terminationGracePeriodSeconds=75.",
        ),
        ({"replicaCount": 1}, "one replica. While its node is drained or lost, nothing answers"),
    ],
)
def test_notes_warn_of_what_is_allowed_and_unwise(changes: dict[str, Any], warning: str) -> None:
    """These values work, and surprise later."""
    assert "WARNING" not in notes()
    assert warning in notes(**changes)
