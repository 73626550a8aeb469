"""What authors do to a repository, through the real git-sync with the flags of the chart."""

from __future__ import annotations

from tests.gitsync.conftest import Start, model
from tests.processes import wait_until


def test_a_push_goes_live_within_the_period(start: Start) -> None:
    """The one thing that the project is for."""
    stage = start(period="5s")
    revision = stage.author.push(model("second"))
    stage.wait_for_answer("second")
    assert stage.page()["revision"] == revision


def test_a_push_goes_live_at_once_with_sync_now(start: Start) -> None:
    """The period is a day by default; the documented command must not kill git-sync instead."""
    stage = start()
    stage.author.push(model("second"))
    stage.sidecar.sync_now()
    stage.wait_for_answer("second", within=10)
    assert not stage.sidecar.process.has_ended()


def test_a_bad_push_keeps_the_old_version_and_a_good_one_heals(start: Start) -> None:
    """A commit that cannot be loaded must cost nobody an answer, though git-sync has deleted the old checkout."""
    stage = start()
    bad = stage.author.push({"constant/etls.py": "import nowhere_to_be_found\n"})
    stage.sidecar.sync_now()
    stage.sidecar.wait_for_link(bad)
    failed = wait_until(lambda: stage.page()["models"][0]["error"], "the failed load to show", within=10)
    assert "nowhere_to_be_found" in failed
    assert stage.answer() == "first"
    stage.author.push(model("healed"))
    stage.sidecar.sync_now()
    stage.wait_for_answer("healed")
    assert stage.page()["models"][0]["error"] is None


def test_rewritten_history_is_followed(start: Start) -> None:
    """A force push that shares nothing with what was served before is an ordinary push."""
    stage = start()
    stage.author.start_over()
    revision = stage.author.push(model("unrelated"), "--force")
    stage.sidecar.sync_now()
    stage.wait_for_answer("unrelated")
    assert stage.page()["revision"] == revision


def test_a_deleted_branch_keeps_serving_and_heals_when_it_is_back(start: Start) -> None:
    """Somebody tidies branches up; the models must not go with them."""
    stage = start(ref="main")
    stage.author.delete_branch()
    stage.sidecar.sync_now()
    assert "main" in stage.sidecar.wait_for_error()
    assert stage.answer() == "first"
    stage.author.push(model("back"))
    stage.wait_for_answer("back")


def test_a_push_without_any_model_keeps_serving(start: Start) -> None:
    """Somebody deletes or moves the folders by mistake; that is a broken push, not a wish to serve nothing."""
    stage = start()
    stage.author.delete("constant")
    stage.author.push({"README.md": "nothing to serve"})
    stage.sidecar.sync_now()
    problem = wait_until(lambda: stage.page()["problem"], "the status to name the problem", within=20)
    assert "model" in problem
    assert stage.answer() == "first"
