"""Slots belong to a version, the queue to the name."""

from __future__ import annotations

from typing import Any

from loader.lane import FAST_SECONDS, Admission, Lane


class Version:
    """The counters that a lane keeps for a version."""

    def __init__(self, concurrency: int = 1) -> None:
        self.concurrency = concurrency
        self.running = 0
        self.stuck = 0
        self.is_retired = False


class Call:
    """A ticket that remembers whether it was resumed."""

    def __init__(self) -> None:
        self.version: Any = None
        self.is_stuck = False
        self.is_resumed = False

    def resume(self) -> None:
        """Note that it may run."""
        self.is_resumed = True


class Told:
    """What a lane tells its owner."""

    def __init__(self, queue_size: int = 2) -> None:
        self.retired: list[tuple[Version, bool]] = []
        self.wedged: list[Version] = []
        self.lane = Lane(
            queue_size, lambda version, stuck: self.retired.append((version, stuck)), self.wedged.append
        )


def test_calls_run_wait_and_are_refused_in_this_order() -> None:
    """More calls than the model may take would run at once, or wait without end."""
    lane = Told().lane
    lane.publish(Version())
    assert [lane.enter(Call()) for _ in range(4)] == [
        Admission.RUN,
        Admission.WAIT,
        Admission.WAIT,
        Admission.FULL,
    ]
    assert (lane.running, lane.waiting) == (1, 2)
    assert lane.outcomes["rejected"] == 1


def test_the_thread_that_leaves_takes_the_longest_waiting_call() -> None:
    """Calls would starve behind newer ones."""
    lane = Told().lane
    lane.publish(Version())
    first, second, third = Call(), Call(), Call()
    for call in (first, second, third):
        lane.enter(call)
    assert lane.leave(first) is second
    assert lane.leave(second) is third
    assert lane.leave(third) is None
    assert (lane.running, lane.waiting) == (0, 0)


def test_a_swap_hands_the_waiting_calls_to_the_new_version() -> None:
    """A push that cures a hung model would not help those who wait."""
    told = Told()
    old, new = Version(), Version(concurrency=2)
    told.lane.publish(old)
    inside, *waiting = [Call() for _ in range(3)]
    for call in (inside, *waiting):
        told.lane.enter(call)
    assert told.lane.publish(new) is old
    assert [(call.is_resumed, call.version) for call in waiting] == [(True, new), (True, new)]
    assert told.retired == []
    told.lane.leave(inside)
    assert told.retired == [(old, False)]


def test_a_version_that_nobody_is_inside_retires_at_the_swap() -> None:
    """Its memory would stay for ever."""
    told = Told()
    old = Version()
    told.lane.publish(old)
    told.lane.publish(Version())
    assert told.retired == [(old, False)]


def test_a_cancelled_call_never_runs() -> None:
    """A client that was told 503 would find its row scored."""
    lane = Told().lane
    lane.publish(Version())
    first, second = Call(), Call()
    lane.enter(first)
    lane.enter(second)
    assert lane.cancel(second)
    assert not lane.cancel(first)
    assert lane.leave(first) is None
    assert lane.outcomes["expired"] == 1


def test_stuck_calls_in_every_slot_are_told_once_they_are() -> None:
    """A hung model would stay hung."""
    told = Told()
    version = Version(concurrency=2)
    told.lane.publish(version)
    calls = [Call(), Call()]
    for call in calls:
        told.lane.enter(call)
    told.lane.mark_stuck(calls[0])
    assert told.wedged == []
    told.lane.mark_stuck(calls[1])
    assert told.wedged == [version]
    assert told.lane.stuck == 2
    told.lane.publish(Version())
    assert told.retired == [(version, True)]
    for call in calls:
        told.lane.leave(call)
    assert (told.lane.stuck, told.lane.running) == (0, 0)
    assert told.retired == [(version, True)]


def test_without_a_version_calls_run_into_none() -> None:
    """A call for a model that was removed would wait for ever."""
    lane = Told().lane
    assert lane.enter(Call()) is Admission.RUN
    lane.publish(Version())
    inside, waiting = Call(), Call()
    lane.enter(inside)
    lane.enter(waiting)
    lane.publish(None)
    assert waiting.is_resumed
    assert waiting.version is None
    assert lane.leave(waiting) is None


def test_a_model_is_fast_once_its_calls_are() -> None:
    """A slow model would run on the thread that everybody waits for."""
    lane = Told().lane
    lane.publish(Version())
    assert not lane.is_fast
    lane.record(Call(), "ok", FAST_SECONDS / 10)
    assert lane.is_fast
    lane.publish(Version(), expected_seconds=FAST_SECONDS / 10)
    lane.record(Call(), "ok", 1.0)
    assert lane.is_fast  # one outlier: the process stood still
    for _ in range(5):
        lane.record(Call(), "ok", 1.0)
    assert not lane.is_fast
    lane.publish(Version(), expected_seconds=FAST_SECONDS / 2)
    assert lane.is_fast


def test_a_late_result_is_counted_as_the_timeout_that_it_was() -> None:
    """One call would count twice."""
    lane = Told().lane
    lane.publish(Version())
    call = Call()
    lane.enter(call)
    lane.mark_stuck(call)
    lane.record(call, "ok", 70.0)
    assert (lane.outcomes["ok"], lane.outcomes["timeout"]) == (0, 1)
    assert lane.buckets[-1] == 1
