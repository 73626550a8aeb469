"""When a plain folder has been left alone for long enough."""

from __future__ import annotations

import pytest

from loader.checkout import Look
from loader.retries import Retries
from loader.settling import CALM_SECONDS, QUICK_SECONDS, SMALL_BYTES, Settling


def seen(**sizes: int) -> Look:
    """Return a look at files of these sizes."""
    return Look(repr(sorted(sizes.items())).encode(), {name: (size, 0, 0) for name, size in sizes.items()})


def test_a_small_edit_settles_quickly() -> None:
    """Whoever saves a file would wait for seconds."""
    settling = Settling()
    settling.accept("m", seen(a=1))
    assert settling.seconds_to_wait("m", seen(a=2), 10.0) == pytest.approx(QUICK_SECONDS)
    assert settling.seconds_to_wait("m", seen(a=2), 10.0 + QUICK_SECONDS) == 0


def test_a_new_folder_and_a_large_file_and_a_series_take_longer() -> None:
    """A model would be loaded from half of its files."""
    settling = Settling()
    assert settling.seconds_to_wait("new", seen(a=1), 0.0) == CALM_SECONDS
    settling.accept("m", seen(a=1))
    assert settling.seconds_to_wait("m", seen(a=1, b=SMALL_BYTES + 1), 0.0) == CALM_SECONDS
    settling.accept("series", seen(a=1))
    assert settling.seconds_to_wait("series", seen(a=2), 0.0) == pytest.approx(QUICK_SECONDS)
    assert settling.seconds_to_wait("series", seen(a=3), 0.1) == CALM_SECONDS
    assert settling.seconds_to_wait("series", seen(a=3), 0.1 + CALM_SECONDS) == 0


def test_failed_content_is_tried_after_1_2_4_to_60_minutes() -> None:
    """A database that was down for a minute would cost a push, or a broken model all of the CPU."""
    retries = Retries()
    waits = []
    for _ in range(8):
        retries.note_failure("m", "v1")
        waits.append(round((retries.next_in_seconds() or 0) / 60))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert retries.has_failed("m", "v1")
    retries.note_failure("m", "v2")
    assert round((retries.next_in_seconds() or 0) / 60) == 1
    retries.set_aside("m", "v3", once_more=False)
    assert retries.next_in_seconds() is None
