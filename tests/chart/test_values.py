"""The values: each is documented once, the schema knows exactly them, and the README says the same."""

from __future__ import annotations

import importlib.util
import json
import sys
from types import ModuleType
from typing import Any

import pytest
import yaml

from settings import SETTINGS, Settings
from tests.chart.rendering import CHART, ROOT, URL, containers, deployed_pod, merged, of_kind, render

TEXT = (CHART / "values.yaml").read_text()
DEFAULTS: dict[str, Any] = yaml.safe_load(TEXT)
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
#: Settings that follow from other values.
OF_THE_CHART = {"baseUrl", "PORT", "MODELS_DIR", "STATE_DIR"}
#: Where the chart's default is meant to differ from the server's.
DIFFERENT = {"SHUTDOWN_TIMEOUT_SECONDS", "LOG_FORMAT"}


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("chart_readme", ROOT / "charts" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by its name
    spec.loader.exec_module(module)
    return module


README = _generator()
DOCUMENTED = {value.path: value for value in README.read_values(TEXT)}


def leaves(values: Any, path: str = "") -> list[str]:
    """Return the paths of all values that are no mapping, and of the empty ones."""
    if not isinstance(values, dict) or not values:
        return [path]
    return [leaf for key, value in values.items() for leaf in leaves(value, f"{path}.{key}".lstrip("."))]


def test_every_value_is_documented() -> None:
    """A value without a sentence is one that nobody finds."""
    missing = [leaf for leaf in leaves(DEFAULTS) if not any(_covers(path, leaf) for path in DOCUMENTED)]
    assert missing == []


def test_no_value_is_documented_twice() -> None:
    """Two sentences for one value contradict each other sooner or later."""
    twice = [(a, b) for a in DOCUMENTED for b in DOCUMENTED if a != b and _covers(a, b)]
    assert twice == []


def _covers(path: str, leaf: str) -> bool:
    return leaf == path or leaf.startswith(f"{path}.")


def test_every_sentence_is_one() -> None:
    """The table has one line for each value."""
    for value in DOCUMENTED.values():
        assert value.doc.endswith("."), value.path
        assert "|" not in value.doc, value.path


def test_the_readme_says_what_the_values_say() -> None:
    """A table that somebody wrote by hand goes stale; `python charts/readme.py` writes this one."""
    readme = (CHART / "README.md").read_text()
    assert readme == README.render(readme, TEXT)


def test_the_schema_knows_exactly_the_values() -> None:
    """A value that the schema does not know cannot be set."""
    assert _known(SCHEMA, DEFAULTS) == []


def _known(schema: dict[str, Any], values: dict[str, Any], path: str = "") -> list[str]:
    if "properties" not in schema:
        return []
    if schema["additionalProperties"] is not False:
        return [f"{path} is open"]
    names = {name for name, below in schema["properties"].items() if "$comment" not in below}
    wrong = [f"{path}.{name}" for name in names ^ set(values) if not path.startswith("probes.")]
    for name in names & set(values):
        if isinstance(values[name], dict):
            wrong += _known(schema["properties"][name], values[name], f"{path}.{name}".lstrip("."))
    return wrong


def test_the_settings_are_the_servers_own() -> None:
    """A setting of the server that the chart does not know could not be set, and one that it made up does nothing."""
    assert set(DEFAULTS["settings"]) == {setting.name for setting in SETTINGS} - OF_THE_CHART


def test_the_settings_have_the_servers_defaults() -> None:
    """What the settings table says holds for the chart too."""
    server = {s.name: s.default for s in SETTINGS if s.name not in OF_THE_CHART | DIFFERENT}
    chart = {n: _text(v) for n, v in DEFAULTS["settings"].items() if n not in DIFFERENT}
    assert chart == server


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_the_server_takes_the_settings_that_the_chart_makes() -> None:
    """A number that Helm prints as 1.048576e+06 would stop every pod at its start."""
    configmaps = [m for m in render(URL) if "PORT" in m.get("data", {})]
    settings = Settings.from_env(of_kind(configmaps, "ConfigMap")["data"])
    assert (settings.port, settings.max_body_bytes, settings.base_url) == (8080, 1048576, "models_serve")
    assert str(settings.state_dir) == "/state"


def _changed(value: Any, doc: dict[str, Any]) -> Any:
    """Return another value that the schema lets through."""
    if "enum" in doc:
        return doc["enum"][-1]
    match value:
        case bool():
            return not value
        case int() | float():
            return min(value + 1, doc.get("maximum", value + 1))
        case str():
            return "sha256:" + "0" * 64 if "sha256" in doc.get("pattern", "") else value or "a"
        case None:
            return 1
        case list():
            return value
        case _:
            return {}


#: Values that make sense only together with others, which the other tests set.
TOGETHER: dict[str, dict[str, Any]] = {
    "credentials.ssh.privateKey": {
        "repo": {"url": "git@h:p"},
        "credentials": {"ssh": {"knownHosts": "h k v"}},
    },
    "credentials.githubApp.applicationId": {
        "credentials": {"githubApp": {"installationId": "1", "privateKey": "k"}}
    },
    "credentials.githubApp.installationId": {
        "credentials": {"githubApp": {"applicationId": "1", "privateKey": "k"}}
    },
    "credentials.githubApp.privateKey": {
        "credentials": {"githubApp": {"applicationId": "1", "installationId": "1"}}
    },
    "ingress.path": {"baseUrl": "a"},
    "keda.enabled": {"keda": {"serverAddress": "http://prometheus", "query": "1"}},
    "httpRoute.enabled": {"httpRoute": {"parentRefs": [{"name": "gateway"}]}},
    "podDisruptionBudget.minAvailable": {"podDisruptionBudget": {"maxUnavailable": None}},
    "metrics.prometheusRule.enabled": {"metrics": {"podMonitor": {"enabled": True}}},
    "service.nodePort": {"service": {"type": "NodePort"}},
}


#: Values whose other value cannot be guessed from their default.
INSTEAD = {"repo.url": URL["repo"]["url"], "ingress.path": "/a", "httpRoute.path": "/a"}


@pytest.mark.parametrize("path", sorted(DOCUMENTED))
def test_every_documented_value_renders(path: str) -> None:
    """A value that breaks its template was never tried."""
    schema = SCHEMA
    for key in path.split("."):
        schema = schema["properties"][key]
    change: Any = INSTEAD.get(path, _changed(DOCUMENTED[path].default, schema))
    for key in reversed(path.split(".")):
        change = {key: change}
    render(merged(merged(URL, **TOGETHER.get(path, {})), **change))


def test_a_changed_number_leaves_the_others_of_its_map() -> None:
    """Setting one number of a probe must not lose the others."""
    server = containers(deployed_pod(render(merged(URL, probes={"startup": {"failureThreshold": 7}}))))[
        "server"
    ]
    probe = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 2, "timeoutSeconds": 5}
    assert server["startupProbe"] == {**probe, "failureThreshold": 7}
