"""Values that cannot work stop the install, with a sentence that says what to write instead."""

from __future__ import annotations

from typing import Any

import helm_python as helm
import pytest

from tests.chart.rendering import URL, merged, render, values_of

KEY = {"privateKey": "key", "knownHosts": "host ssh-ed25519 AAAA"}
APP = {"applicationId": 1, "installationId": 2, "privateKey": "key"}
SSH_URL = {"url": "git@git.example.com:team/models.git"}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no repository": ({"repo": {"url": ""}}, "repo.url is empty: set it to the repository"),
    "no scheme": (
        {"repo": {"url": "git.example.com/team/models.git"}},
        "repo.url has no scheme: write https://, ssh:// or git@HOST:PATH, as in https://git.example.com/team/models.git",
    ),
    "password in the URL": (
        {"repo": {"url": "https://reader:secret@git.example.com/m.git"}},
        "put it into credentials.existingSecret or credentials.https.password",
    ),
    "token in the URL": (
        {"repo": {"url": "https://ghp_abc@git.example.com/m.git"}},
        "put the user into credentials.https.username and the token into credentials.existingSecret",
    ),
    "short commit": ({"repo": {"ref": "4f1c0de"}}, "write all 40 characters, or a branch or tag"),
    "empty ref": ({"repo": {"ref": ""}}, "or HEAD for the default branch"),
    "absolute subPath": (
        {"repo": {"subPath": "/models"}},
        "write it relative to the repository's root, as in models",
    ),
    "subPath that leaves": ({"repo": {"subPath": "../other"}}, "write a folder inside it, without .."),
    "period in days": (
        {"repo": {"period": "1d"}},
        'repo.period is "1d": write a duration such as 24h, 15m, 30s or 1h30m',
    ),
    "period of a second": (
        {"repo": {"period": "1s"}},
        "every pod asks the git host that often: write 5s or more",
    ),
    "password among the flags": (
        {"gitSync": {"extraArgs": ["--password=x"]}},
        "process lists show it: use the values under credentials",
    ),
    "flag that the chart sets": (
        {"gitSync": {"extraArgs": ["--period=1h"]}},
        "which the chart sets: use the values under repo and gitSync",
    ),
    "password in the environment": (
        {"gitSync": {"extraEnv": [{"name": "GITSYNC_PASSWORD", "value": "x"}]}},
        "gitSync.extraEnv has GITSYNC_PASSWORD: the chart configures git-sync by flags",
    ),
    "Secret and password": (
        {"credentials": {"existingSecret": "s", "https": {"password": "p"}}},
        "credentials.existingSecret and credentials.https.password are both set: keep the Secret, or keep the value",
    ),
    "two kinds of credentials": (
        {"credentials": {"https": {"password": "p"}, "githubApp": APP}},
        "a repository takes one kind of credentials; keep one",
    ),
    "SSH without a key": (
        {"repo": SSH_URL},
        "give one in credentials.existingSecret or credentials.ssh.privateKey",
    ),
    "SSH with a password": (
        {"repo": SSH_URL, "credentials": {"https": {"password": "p"}}},
        "repo.url is an SSH address, which takes no password and no GitHub App: write its https:// address",
    ),
    "SSH key for an HTTPS address": (
        {"credentials": {"ssh": KEY}},
        "repo.url is no SSH address: write it as git@HOST:PATH or ssh://git@HOST/PATH",
    ),
    "SSH without known hosts": (
        {"repo": SSH_URL, "credentials": {"ssh": {"privateKey": "key"}}},
        "credentials.ssh.knownHosts is empty: give the git host's line, as `ssh-keyscan HOST` prints it",
    ),
    "SSH as somebody else": (
        {
            "repo": SSH_URL,
            "credentials": {"existingSecret": "s"},
            "podSecurityContext": {"runAsUser": 1000},
        },
        "so that ssh refuses to run: write 65533, or an https:// address with a token",
    ),
    "App without an installation": (
        {"credentials": {"githubApp": {"applicationId": 1, "privateKey": "key"}}},
        "credentials.githubApp.installationId is empty: give the id",
    ),
    "App without an id": (
        {"credentials": {"githubApp": {"installationId": 2, "privateKey": "key"}}},
        "credentials.githubApp.applicationId is empty: give the App's id",
    ),
    "App without a key": (
        {"credentials": {"githubApp": {"applicationId": 1, "installationId": 2}}},
        "credentials.githubApp has no key: give it in credentials.existingSecret or credentials.githubApp.privateKey",
    ),
    "baseUrl with a space": ({"baseUrl": "my models"}, "write path segments, as in models or team/models"),
    "setting among extraEnv": (
        {"extraEnv": [{"name": "THREADS", "value": "8"}]},
        "extraEnv has THREADS: use settings.THREADS",
    ),
    "port among extraEnv": (
        {"extraEnv": [{"name": "PORT", "value": "80"}]},
        "extraEnv has PORT, which the chart sets: use containerPort",
    ),
    "privileged port": (
        {"containerPort": 80},
        "containerPort is 80, which a process without privileges may not open: write 8080",
    ),
    "one port for two": ({"containerPort": 9091}, "containerPort and gitSync.metricsPort are both 9091"),
    "one claim for many pods": (
        {"state": {"persistence": {"enabled": True, "accessMode": "ReadWriteOnce"}}},
        "use ReadWriteMany, or replicaCount=1 without autoscaling",
    ),
    "size of both state volumes": (
        {"state": {"sizeLimit": "1Gi", "persistence": {"enabled": True}}},
        "set state.persistence.size and leave sizeLimit empty",
    ),
    "drain longer than shutdown": (
        {"settings": {"DRAIN_DELAY_SECONDS": 60}},
        "write 90, the delay plus REQUEST_TIMEOUT_SECONDS",
    ),
    "shutdown longer than grace": (
        {"settings": {"SHUTDOWN_TIMEOUT_SECONDS": 120}},
        "terminationGracePeriodSeconds is 50, and preStopSleepSeconds + settings.SHUTDOWN_TIMEOUT_SECONDS take 120, "
        "so that the pod would be killed while it drains: write 125 or more",
    ),
    "preStop beyond grace": (
        {"preStopSleepSeconds": 15},
        "take 55, so that the pod would be killed while it drains",
    ),
    "HPA and KEDA": (
        {"autoscaling": {"enabled": True}, "keda": {"enabled": True, "serverAddress": "http://prometheus"}},
        "would fight over the number of pods: keep one",
    ),
    "HPA upside down": (
        {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 3}},
        "autoscaling.minReplicas is 5, more than maxReplicas, 3: swap or change them",
    ),
    "HPA without a target": (
        {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": None}},
        "set autoscaling.targetCPUUtilizationPercentage, or use keda",
    ),
    "HPA without a request": (
        {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}},
        "set resources.requests.cpu",
    ),
    "KEDA upside down": (
        {"keda": {"enabled": True, "serverAddress": "http://p", "minReplicas": 5, "maxReplicas": 3}},
        "keda.minReplicas is 5, more than maxReplicas, 3: swap or change them",
    ),
    "KEDA without Prometheus": (
        {"keda": {"enabled": True}},
        "set it to your Prometheus, as in http://prometheus-operated.monitoring:9090",
    ),
    "KEDA that nobody feeds": (
        {"keda": {"enabled": True, "serverAddress": "http://p"}},
        "set metrics.podMonitor.enabled=true, or write a query",
    ),
    "budget of everything": (
        {"podDisruptionBudget": {"minAvailable": 2, "maxUnavailable": None}},
        "podDisruptionBudget.minAvailable is 2 and there may be only 2 pods, so that no node could ever be drained",
    ),
    "budget of a hundred percent": (
        {"podDisruptionBudget": {"minAvailable": "100%", "maxUnavailable": None}},
        "write maxUnavailable=1 and minAvailable=null",
    ),
    "budget of nothing": ({"podDisruptionBudget": {"maxUnavailable": 0}}, "write 1 or more"),
    "budget twice": (
        {"podDisruptionBudget": {"minAvailable": 1}},
        "are both set, and Kubernetes takes one: set the other to null",
    ),
    "Ingress that misses baseUrl": (
        {"ingress": {"enabled": True, "path": "/other"}},
        "the server answers under /models_serve: set baseUrl to the same path, or ingress.rewrite=true",
    ),
    "rewrite of nothing": (
        {"baseUrl": "", "ingress": {"enabled": True, "rewrite": True}},
        "ingress.rewrite needs a path to replace: set ingress.path, as in /models",
    ),
    "path without a slash": (
        {"httpRoute": {"enabled": True, "path": "scores", "parentRefs": [{"name": "gateway"}]}},
        "httpRoute.path is scores: begin it with a slash, as in /scores",
    ),
    "route without a gateway": (
        {"httpRoute": {"enabled": True}},
        "name the Gateway that takes the route, as in --set httpRoute.parentRefs[0].name=gateway",
    ),
    "node port of a ClusterIP": ({"service": {"nodePort": 30080}}, "set service.type=NodePort"),
    "two monitors": (
        {"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
        "every pod would be counted twice: keep one",
    ),
    "rules without a monitor": (
        {"metrics": {"prometheusRule": {"enabled": True}}},
        "set metrics.podMonitor.enabled=true",
    ),
    "another chart's name": ({"replicas": 3}, "there is no value replicas: write replicaCount"),
    "the seed's name": ({"gitPath": "https://x/y"}, "there is no value gitPath: write repo.url"),
    "git's name": ({"repo": {"branch": "main"}}, "there is no value repo.branch: write repo.ref"),
    "the server's name": ({"settings": {"PORT": 80}}, "there is no value settings.PORT: write containerPort"),
}

BY_SCHEMA: dict[str, tuple[dict[str, Any], str]] = {
    "unknown at the root": ({"replicaCounts": 3}, "'replicaCounts' not allowed"),
    "unknown below": ({"repo": {"uri": "x"}}, "'uri' not allowed"),
    "unknown setting": ({"settings": {"TRHEADS": 3}}, "'TRHEADS' not allowed"),
    "wrong word": ({"settings": {"READY_POLICY": "some"}}, "must be one of 'any', 'all'"),
    "wrong type": ({"replicaCount": "three"}, "/replicaCount"),
    "short digest": ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
    "KEDA to zero": ({"keda": {"minReplicas": 0}}, "/keda/minReplicas"),
}


@pytest.mark.parametrize(("values", "sentence"), REFUSED.values(), ids=REFUSED)
def test_impossible_values_say_what_to_write(values: dict[str, Any], sentence: str) -> None:
    """An operator who gets it wrong learns it from `helm install`, not from a pod that never becomes ready."""
    with pytest.raises(helm.HelmRenderError) as raised:
        render(merged(URL, **values))
    assert sentence in str(raised.value)


@pytest.mark.parametrize(("values", "sentence"), BY_SCHEMA.values(), ids=BY_SCHEMA)
def test_unknown_values_are_named(values: dict[str, Any], sentence: str) -> None:
    """A misspelt value would be ignored without a word."""
    with pytest.raises(helm.HelmError) as raised:
        render(merged(URL, **values))
    assert sentence in str(raised.value)


def test_every_problem_is_told_at_once() -> None:
    """Nobody likes to find five mistakes in five runs."""
    with pytest.raises(helm.HelmRenderError) as raised:
        render({"repo": {"period": "1d", "subPath": "/x"}, "containerPort": 80})
    told = [line for line in str(raised.value).splitlines() if line.startswith("  - ")]
    assert len(told) == 4, told


def test_a_parent_chart_may_pass_globals() -> None:
    """A closed schema without `global` refuses to be a dependency."""
    render(merged(URL, **{"global": {"imageRegistry": "registry.example.com"}}))


@pytest.mark.parametrize("period", ["24h", "15m", "30s", "1h30m", "5s", "0.5h", "90s"])
def test_durations_of_git_sync_are_taken(period: str) -> None:
    """Every duration that git-sync understands is fine."""
    render(merged(values_of("minimal"), repo={"period": period}))


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/a.git",
        "http://10.77.0.1:8000/a.git",
        "ssh://git@git.example.com:22/a.git",
        "git@git.example.com:a/b.git",
        "git://git.example.com/a.git",
        "file:///srv/a.git",
    ],
)
def test_addresses_of_git_are_taken(url: str) -> None:
    """Every form of address that git understands is fine."""
    render({"repo": {"url": url}, "credentials": {"existingSecret": "models-git"}})
