"""Goals: every transition, and which goal a request means."""

from typing import get_args

import pytest

from state import goals
from state.errors import GoalClosed
from state.errors import UnknownGoal
from state.goals import Goal
from state.goals import Move
from state.goals import Opening
from state.goals import Status


def _goal(number: int, text: str, status: Status = "active") -> Goal:
    return Goal(id=f"g{number}", text=text, status=status, opened_at=0.0, version=number)


@pytest.mark.parametrize(
    ("before", "wanted", "outcome"),
    [
        ("active", "active", "holds"),
        ("active", "done", "moves"),
        ("active", "dropped", "moves"),
        ("done", "active", "moves"),
        ("done", "done", "holds"),
        ("done", "dropped", "refused"),
        ("dropped", "active", "moves"),
        ("dropped", "done", "refused"),
        ("dropped", "dropped", "holds"),
    ],
)
def test_a_goal_changes_status_only_as_the_table_says(before: Status, wanted: Status, outcome: str) -> None:
    known = [_goal(1, "why", before)]
    if outcome == "refused":
        with pytest.raises(GoalClosed, match=f"{before} -> {wanted}"):
            goals.decide(known, "why", wanted)
    else:
        expected = Move(id="g1", status=wanted) if outcome == "moves" else None
        assert goals.decide(known, "why", wanted) == expected


def test_the_table_names_every_status() -> None:
    assert set(goals.TRANSITIONS) == set(get_args(Status))


_KNOWN = [_goal(1, "a"), _goal(2, "b", "done"), _goal(3, "c"), _goal(4, "d", "dropped")]


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ("new", None, Opening(text="new")),
        ("new", "active", Opening(text="new")),
        ("a", None, None),
        ("b", None, Opening(text="b")),
        ("g2", None, Move(id="g2", status="active")),
        ("g1", None, None),
        ("g9", None, Opening(text="g9")),
        (None, "done", Move(id="g3", status="done")),
        (None, "active", None),
        ("a", "done", Move(id="g1", status="done")),
        ("g1", "dropped", Move(id="g1", status="dropped")),
        ("d", "active", Move(id="g4", status="active")),
    ],
)
def test_a_request_means_the_goal_it_names_or_the_newest_active_one(
    text: str | None, status: Status | None, expected: Opening | Move | None
) -> None:
    assert goals.decide(_KNOWN, text, status) == expected


def test_of_goals_with_one_text_the_active_one_is_meant() -> None:
    known = [_goal(1, "a", "done"), _goal(2, "a"), _goal(3, "a", "dropped")]
    assert goals.decide(known, "a", "done") == Move(id="g2", status="done")


@pytest.mark.parametrize("status", ["done", "dropped"])
def test_closing_an_unknown_goal_lists_those_there_are(status: Status) -> None:
    with pytest.raises(UnknownGoal, match=r'g4 \(dropped\) "d"'):
        goals.decide(_KNOWN, "new", status)


def test_a_status_alone_without_an_active_goal_says_how_to_go_on() -> None:
    with pytest.raises(UnknownGoal, match="pass goal with a text"):
        goals.decide([], None, "done")
    with pytest.raises(UnknownGoal, match="g1"):
        goals.decide([_goal(1, "a", "done")], None, "dropped")


@pytest.mark.parametrize(("status", "progress"), [("active", 0.0), ("dropped", 0.0), ("done", 1.0)])
def test_progress_is_not_guessed(status: Status, progress: float) -> None:
    assert _goal(1, "a", status).progress == progress
