"""A worker that dies is started again, later each time, until there is no point in it."""

from itertools import pairwise

import pytest

from server.worker_lives import SHORT_LIFE_S
from server.worker_lives import Lives

_LONG_S = SHORT_LIFE_S * 2
_KILLED = -9


def _after(lives: Lives, *lived_s: float) -> Lives:
    for each in lived_s:
        lives = lives.after(lived_s=each, was_ready=True)
    return lives


def test_each_short_life_is_followed_by_a_longer_pause_up_to_five_seconds() -> None:
    pauses = [_after(Lives(), *[1.0] * count).pause_s for count in range(1, 12)]
    assert pauses[0] == pytest.approx(0.1)
    assert all(before < after or after == 5.0 for before, after in pairwise(pauses))


def test_a_long_life_forgives_the_short_ones_before() -> None:
    lives = _after(Lives(), *[1.0] * 5, _LONG_S)
    assert lives.pause_s == pytest.approx(0.1)
    assert not lives.is_hopeless(_KILLED)


@pytest.mark.parametrize(("lived_s", "hopeless"), [([1.0] * 5, False), ([1.0] * 6, True), ([_LONG_S] * 20, False)])
def test_six_short_lives_in_a_row_are_enough(lived_s: list[float], hopeless: bool) -> None:  # noqa: FBT001
    assert _after(Lives(), *lived_s).is_hopeless(_KILLED) is hopeless


@pytest.mark.parametrize(("code", "hopeless"), [(1, True), (2, True), (0, False), (_KILLED, False)])
def test_a_first_start_that_ends_with_a_fault_is_not_repeated(code: int, hopeless: bool) -> None:  # noqa: FBT001
    assert Lives().after(lived_s=0.5, was_ready=False).is_hopeless(code) is hopeless


def test_a_worker_that_served_before_is_started_again_whatever_its_exit_code() -> None:
    assert not Lives().after(lived_s=0.5, was_ready=True).is_hopeless(1)
