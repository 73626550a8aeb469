"""The alerting and recording rules, fed with made-up outages by Prometheus' own promtool."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.monitoring import GIT, SERVER, dashboard_queries, promtool, rule_groups

POD = 'instance="10.0.0.7:8080",pod="models-1"'
GIT_POD = 'instance="10.0.0.7:9091",pod="models-1"'
MODEL = f'{SERVER},{POD},model="iris"'
MINUTES = 120


def requests(outcome: str) -> str:
    """Return the series of the calls with that outcome."""
    return f'model_requests_total{{{MODEL},outcome="{outcome}"}}'


def calls_up_to(seconds: str) -> str:
    """Return a series of the histogram."""
    return f'model_request_duration_seconds_bucket{{{MODEL},le="{seconds}"}}'


def syncs(status: str) -> str:
    """Return the series of the syncs with that status."""
    return f'git_sync_count_total{{{GIT},{GIT_POD},status="{status}"}}'


UP = f"up{{{SERVER},{POD}}}"
GIT_UP = f"up{{{GIT},{GIT_POD}}}"
MODEL_UP = f"model_up{{{MODEL}}}"
OUTDATED = f"model_outdated{{{MODEL}}}"
STUCK = f"model_calls_stuck{{{MODEL}}}"
REFUSED = f"checkout_refused{{{SERVER},{POD}}}"
#: A sync each quarter of an hour.
QUARTERS = " ".join(str(minute // 15) for minute in range(MINUTES + 1))
#: A calm day: a series and its values, one a minute.
HEALTHY = {
    UP: f"1x{MINUTES}",
    GIT_UP: f"1x{MINUTES}",
    MODEL_UP: f"1x{MINUTES}",
    OUTDATED: f"0x{MINUTES}",
    STUCK: f"0x{MINUTES}",
    REFUSED: f"0x{MINUTES}",
    requests("ok"): f"0+600x{MINUTES}",
    requests("error"): f"0+6x{MINUTES}",
    requests("timeout"): f"0x{MINUTES}",
    requests("rejected"): f"0+1x{MINUTES}",
    requests("expired"): f"0x{MINUTES}",
    calls_up_to("0.1"): f"0+600x{MINUTES}",
    calls_up_to("3"): f"0+606x{MINUTES}",
    calls_up_to("+Inf"): f"0+606x{MINUTES}",
    syncs("success"): f"1x{MINUTES}",
    syncs("noop"): QUARTERS,
}
#: What is different, the minute to look at, and the alerts that fire then.
OUTAGES: dict[str, tuple[dict[str, str | None], int, set[str]]] = {
    "nothing": ({}, 119, set()),
    "the server is down": ({UP: f"1x30 0x{MINUTES}"}, 40, {"ModelServingDown"}),
    "it was down for a minute": ({UP: f"1x30 0 1x{MINUTES}"}, 33, set()),
    "no version serves": (
        {MODEL_UP: f"0x{MINUTES}", OUTDATED: f"1x{MINUTES}"},
        10,
        {"ModelDown", "ModelLoadFailed"},
    ),
    "a push does not load": ({OUTDATED: f"0x10 1x{MINUTES}"}, 15, {"ModelLoadFailed"}),
    "a push did not load and was healed": ({OUTDATED: f"0x10 1x20 0x{MINUTES}"}, 35, set()),
    "a push without models": ({REFUSED: f"0x10 1x{MINUTES}"}, 20, {"CheckoutRefused"}),
    "one call in ten raises": ({requests("error"): f"0+70x{MINUTES}"}, 20, {"ModelErrors"}),
    "one call in ten has no end": ({requests("timeout"): f"0+70x{MINUTES}"}, 20, {"ModelErrors"}),
    "calls are slow": (
        {calls_up_to("0.1"): f"0+300x{MINUTES}", calls_up_to("3"): f"0+606x{MINUTES}"},
        30,
        {"ModelSlow"},
    ),
    "the queue is full": ({requests("rejected"): f"0+30x{MINUTES}"}, 20, {"ModelRejectsCalls"}),
    "the queue is slow": ({requests("expired"): f"0+30x{MINUTES}"}, 20, {"ModelRejectsCalls"}),
    "calls are stuck": ({STUCK: f"0x10 1x{MINUTES}"}, 30, {"ModelCallsStuck"}),
    "nobody calls": (
        {requests(outcome): f"5x{MINUTES}" for outcome in ("ok", "error", "rejected")},
        60,
        set(),
    ),
    "git fails": ({syncs("error"): f"_x9 1+1x{MINUTES}"}, 50, {"GitSyncFailing"}),
    "git failed for ten minutes": ({syncs("error"): f"_x9 1+1x10 11x{MINUTES}"}, 21, set()),
    "git failed once": ({syncs("error"): f"_x9 1x{MINUTES}"}, 50, set()),
    "git hangs": ({syncs("noop"): f"3x{MINUTES}"}, 60, {"GitNotSynced"}),
    "git hangs for one period": ({syncs("noop"): f"{'3 ' * 60}4x{MINUTES}"}, 80, set()),
    "git-sync restarts": (
        {syncs("noop"): f"3x20 _x15 1x{MINUTES}", syncs("success"): f"1x20 _x10 1x{MINUTES}"},
        58,
        set(),
    ),
    "a pod is young": ({syncs("noop"): None, syncs("success"): f"_x99 1x{MINUTES}"}, 119, set()),
    "a pod waits for its first sync": (
        {syncs("noop"): None, syncs("success"): None, syncs("error"): f"1+1x{MINUTES}"},
        40,
        {"GitNeverSynced", "GitSyncFailing"},
    ),
}


def evaluate(folder: Path, series: dict[str, str | None], tests: list[Any], period: str = "15m") -> None:
    """Let promtool evaluate the rules over *series*; fail with what it says."""
    inputs = [{"series": name, "values": values} for name, values in series.items() if values is not None]
    test = {"interval": "1m", "input_series": inputs, "promql_expr_test": tests}
    done = promtool(
        folder,
        "test",
        "rules",
        "test.yaml",
        rules=rule_groups(repo={"period": period}),
        test={"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def firing(minute: int, alerts: set[str]) -> dict[str, Any]:
    """Return a test of promtool's: just these alerts fire at that minute."""
    return {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(alerts)],
    }


@pytest.mark.parametrize(("changes", "minute", "alerts"), OUTAGES.values(), ids=OUTAGES)
def test_an_outage_fires_its_alert_and_no_other(
    tmp_path: Path, changes: dict[str, str | None], minute: int, alerts: set[str]
) -> None:
    """An alert that stays silent, or one that cries wolf, is worse than none."""
    evaluate(tmp_path, HEALTHY | changes, [firing(minute, alerts)])


def test_another_release_fires_nothing_here(tmp_path: Path) -> None:
    """Two releases in one namespace each have rules; an outage of one must not page the other's team."""
    outage = dict.fromkeys((UP, MODEL_UP), f"0x{MINUTES}") | dict.fromkeys(
        (OUTDATED, REFUSED, STUCK, GIT_UP), f"1x{MINUTES}"
    )
    theirs = {name.replace("models-model-serving", "other"): values for name, values in outage.items()}
    evaluate(tmp_path, HEALTHY | theirs, [firing(60, set())])


def test_the_daily_period_gives_a_pod_two_days(tmp_path: Path) -> None:
    """By default git-sync looks once a day: an alert after an hour would always fire."""
    silent = HEALTHY | {syncs("noop"): None}
    evaluate(tmp_path, silent, [firing(119, {"GitNotSynced"})])
    evaluate(tmp_path, silent, [firing(119, set())], period="24h")


def test_rare_retries_are_failures_too() -> None:
    """With a retry each half hour there is none in most windows of five minutes."""
    rules = [rule for group in rule_groups(repo={"retryPeriod": "30m"})["groups"] for rule in group["rules"]]
    (failing,) = [rule for rule in rules if rule.get("alert") == "GitSyncFailing"]
    assert "[5400s]" in failing["expr"]


def test_a_commit_is_synced_once_and_never_missed() -> None:
    """git-sync sleeps for ever on a full commit id; two periods later somebody would be woken for nothing."""
    groups = rule_groups(repo={"ref": "a" * 40})["groups"]
    alerts = {rule.get("alert") for group in groups for rule in group["rules"]}
    assert "GitNotSynced" not in alerts
    assert "GitNeverSynced" in alerts


@pytest.mark.parametrize(
    ("record", "value"),
    [
        ("model:model_requests:rate5m", 607 / 60),
        ("model:model_requests_failed:ratio_rate5m", 6 / 607),
        ("model:model_requests_rejected:ratio_rate5m", 1 / 607),
        ("model:model_request_duration_seconds:p99_rate5m", 0.1 * (0.99 * 606) / 600),
    ],
)
def test_recording_rules_have_the_right_value(tmp_path: Path, record: str, value: float) -> None:
    """A ratio of the wrong two things looks just as plausible."""
    close = f"{record} > {value * 0.999} < {value * 1.001}"
    count = {"expr": f"count({close})", "eval_time": "60m", "exp_samples": [{"labels": "{}", "value": 1}]}
    evaluate(tmp_path, HEALTHY, [count])


def test_every_alert_says_what_to_do() -> None:
    """Whoever is woken knows nothing of this program."""
    for group in rule_groups()["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["labels"]["severity"] in {"critical", "warning"}, rule["alert"]
                assert rule["labels"]["team"] == "models", rule["alert"]
                assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]
                assert not re.search(r"<[a-z-]+>", yaml.safe_dump(rule)), rule["alert"]


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    """Prometheus refuses a whole group for one rule that it cannot read, annotations included."""
    done = promtool(tmp_path, "check", "rules", "rules.yaml", rules=rule_groups())
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    """A panel whose query has a typing error shows nothing."""
    rules = [
        {"record": f"panel:{number}", "expr": query} for number, (_, query) in enumerate(dashboard_queries())
    ]
    done = promtool(
        tmp_path, "check", "rules", "panels.yaml", panels={"groups": [{"name": "panels", "rules": rules}]}
    )
    assert done.returncode == 0, done.stdout + done.stderr
