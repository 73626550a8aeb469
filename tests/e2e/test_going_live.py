"""A push goes live without anybody's help, and one that is broken changes nothing but the status."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.load import under_load
from tests.e2e.release import Release
from tests.e2e.repository import GitServer, model


@pytest.fixture
def restored(git: GitServer, release: Release) -> Iterator[None]:
    """Bring the repository and the pods back to where the other promises find them."""
    yield
    git.push({"constant": model("first")})
    release.sync_now()
    release.wait_for_answer("constant", "first")


@pytest.mark.usefixtures("restored")
def test_a_push_is_live_seconds_after_the_documented_sync_now(git: GitServer, release: Release) -> None:
    """The notes promise a command; an author who cannot wait a day relies on it."""
    revision = git.push({"constant": model("second")})
    release.sync_now()
    release.wait_for_answer("constant", "second")
    revisions = {release.score_in(p, "constant").headers["x-model-revision"] for p in release.ready_pods()}
    assert revisions == {revision}


@pytest.mark.usefixtures("restored")
def test_a_commit_that_leaves_a_model_alone_changes_its_revision_only(
    git: GitServer, release: Release
) -> None:
    """A replica that starts later names the newest commit; the running ones must name the same for the same bytes."""
    before = release.status("other")
    revision = git.push({"constant": model("third")})
    release.sync_now()
    release.wait_for_answer("constant", "third")
    after = release.status("other")
    assert after["revision"] == revision
    assert (after["version"], after["loaded_at"]) == (before["version"], before["loaded_at"])


@pytest.mark.usefixtures("restored")
def test_a_bad_push_keeps_the_old_answers_and_the_status_says_why(git: GitServer, release: Release) -> None:
    """One broken commit, and every caller of every replica would get errors."""
    good = release.status("constant")
    bad = git.push({"constant": model("never", construct='raise ValueError("weights are missing")')})
    release.sync_now()
    found = release.cluster.wait_until(
        lambda: [release.status("constant")] if release.status("constant")["error"] else None,
        "the status to name the failed load",
        within=30,
    )[0]
    assert "weights are missing" in found["error"]
    assert release.page()["revision"] == bad
    assert found["version"] == good["version"]
    assert release.answers("constant") == ["first", "first"]
    assert release.score("other").status == 200


@pytest.mark.usefixtures("restored")
def test_a_container_that_crashes_after_a_bad_push_serves_the_last_good_version(
    git: GitServer, release: Release
) -> None:
    """The good commit is gone from the disk by then; a crash must not make a mistake into an outage."""
    bad = git.push({"constant": model("never", construct='raise ValueError("weights are missing")')})
    release.sync_now()
    release.cluster.wait_until(
        lambda: {release.page_of(pod)["revision"] for pod in release.ready_pods()} == {bad},
        "every pod to have seen the bad commit",
        within=30,
    )
    crashed = release.pods()[0]["metadata"]["name"]
    release.end_server(crashed)
    release.cluster.wait_until(
        lambda: len(release.ready_pods()) == 2 and release.restarts(crashed, "server") == 1,
        "the container to be back",
        within=60,
    )
    assert release.answers("constant") == ["first", "first"]


def test_after_a_bad_push_a_good_one_heals(git: GitServer, release: Release) -> None:
    """Nobody must have to restart pods after a mistake."""
    git.push({"constant": model("never", construct='raise ValueError("weights are missing")')})
    release.sync_now()
    git.push({"constant": model("first")})
    release.sync_now()
    release.wait_for_answer("constant", "first")
    release.cluster.wait_until(
        lambda: release.status("constant")["error"] is None, "the error to go away", within=30
    )


@pytest.mark.usefixtures("restored")
def test_a_push_under_load_loses_no_request(cluster: Cluster, git: GitServer, release: Release) -> None:
    """Every push of every day would otherwise cost its callers some errors."""
    with under_load(cluster, f"{release.url}/constant") as load:
        for answer in ("fourth", "fifth", "sixth"):
            git.push({"constant": model(answer)})
            release.sync_now()
            release.wait_for_answer("constant", answer)
    load.assert_lost_none()
    answers = {json.loads(text)["answer"] for text in load.answered}
    assert {"fourth", "fifth", "sixth"} <= answers <= {"first", "fourth", "fifth", "sixth"}
