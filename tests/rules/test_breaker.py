"""When a place far away counts as down, how it is probed, and when it counts as up again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from hypothesis.stateful import invariant
from hypothesis.stateful import rule

from state.breaker import PROBE_FIRST_S
from state.breaker import PROBE_MOST_S
from state.breaker import TIMEOUTS_MOST
from state.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def middling() -> float:
    return 0.5


def test_one_timeout_is_no_reason() -> None:
    breaker = Breaker(Clock(), middling)
    assert not breaker.timed_out("slow")
    breaker.answered()
    assert not breaker.timed_out("slow")
    assert breaker.up


def test_two_timeouts_in_a_row_are() -> None:
    breaker = Breaker(Clock(), middling)
    assert [breaker.timed_out("slow") for _ in range(3)] == [False, True, False]
    assert not breaker.up
    assert breaker.reason == "slow"


def test_nobody_there_is_reason_enough_and_told_once() -> None:
    breaker = Breaker(Clock(), middling)
    assert [breaker.refused("gone"), breaker.refused("still gone")] == [True, False]
    assert breaker.reason == "gone"


def test_only_a_probe_closes_it_and_that_is_told_once() -> None:
    breaker = Breaker(Clock(), middling)
    breaker.refused("gone")
    breaker.answered()
    assert not breaker.up
    assert [breaker.probed(), breaker.probed()] == [True, False]
    assert (breaker.up, breaker.reason) == (True, "")


def test_timeouts_of_before_do_not_count_after_it_came_back() -> None:
    breaker = Breaker(Clock(), middling)
    breaker.timed_out("slow")
    breaker.refused("gone")
    breaker.probed()
    assert not breaker.timed_out("slow")


def test_probes_come_more_seldom_up_to_one_a_second_and_soon_again_the_next_time() -> None:
    breaker = Breaker(Clock(), middling)
    breaker.refused("gone")
    pauses = [breaker.next_probe_s() for _ in range(8)]
    assert pauses == [PROBE_FIRST_S * 2**number if number < 5 else PROBE_MOST_S for number in range(8)]
    breaker.probed()
    breaker.refused("gone")
    assert breaker.next_probe_s() == PROBE_FIRST_S


@pytest.mark.parametrize(("chance", "least", "most"), [(0.0, 0.79, 0.81), (1.0, 1.19, 1.21)])
def test_not_everybody_probes_at_the_same_moment(chance: float, least: float, most: float) -> None:
    breaker = Breaker(Clock(), lambda: chance)
    breaker.refused("gone")
    assert least * PROBE_FIRST_S <= breaker.next_probe_s() <= most * PROBE_FIRST_S


@given(passed_s=st.floats(0, 5))
def test_who_is_turned_away_may_come_again_after_the_next_probe(passed_s: float) -> None:
    clock = Clock()
    breaker = Breaker(clock, middling)
    breaker.refused("gone")
    pause_s = [breaker.next_probe_s() for _ in range(6)][-1]
    clock.now_s += passed_s
    assert PROBE_FIRST_S <= breaker.retry_after_s <= max(pause_s - passed_s, PROBE_FIRST_S) + 1e-9


class Told(RuleBasedStateMachine):
    """However things come about: every change is told once, and never one that did not happen."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(Clock(), middling)
        self.told_up = True
        self.in_a_row = 0

    @rule()
    def answer(self) -> None:
        self.breaker.answered()
        self.in_a_row = 0

    @rule()
    def timeout(self) -> None:
        self.in_a_row += 1
        if self.breaker.timed_out("slow"):
            assert self.told_up
            assert self.in_a_row >= TIMEOUTS_MOST
            self.told_up = False

    @rule()
    def refuse(self) -> None:
        if self.breaker.refused("gone"):
            assert self.told_up
            self.told_up = False

    @rule()
    def probe(self) -> None:
        if self.breaker.probed():
            assert not self.told_up
            self.told_up = True
        self.in_a_row = 0

    @invariant()
    def what_was_told_is_so(self) -> None:
        assert self.breaker.up == self.told_up
        assert self.breaker.up == (not self.breaker.reason)
        assert not self.breaker.up or self.in_a_row < TIMEOUTS_MOST


TestTold = Told.TestCase
