"""What two sides wrote apart comes together: nothing lost, nothing twice, the later of two values for both."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import fold
from state.journal import Draft
from state.journal import Event
from state.journal import Piece
from state.session import Session
from state.shared.pieces import batches
from state.shared.pieces import missing
from state.shared.pieces import pieces_of
from state.shared.rebase import Apart
from state.shared.rebase import rebased


def draft(kind: str, body: dict[str, Any], at: float, key: str | None = None) -> Draft:
    return Draft(at=at, kind=kind, actor="ann", body=body, key=key)


def opened(*, goals: Sequence[str] = ()) -> Session:
    body = {"handle": "s", "label": None, "ttl_s": 60.0, "goals": list(goals)}
    return fold.fold([Event(version=1, nonce="base", at=1.0, kind=fold.OPENED, actor="ann", body=body)])


def after(session: Session, drafts: Sequence[Draft], nonce: str = "n") -> Session:
    return fold.advance(
        session,
        [
            Event(
                version=session.version + place,
                nonce=nonce,
                at=each.at,
                kind=each.kind,
                actor=each.actor,
                body=each.body,
                key=each.key,
            )
            for place, each in enumerate(drafts, start=1)
        ],
    )


def apart(*drafts: Draft, version: int = 1, goals: int = 0) -> Apart:
    pieces = tuple(Piece(nonce=f"p{place}", drafts=(each,)) for place, each in enumerate(drafts))
    return Apart(version=version, goals=goals, pieces=pieces, where="here")


def joined(theirs: Session, ours: Apart) -> tuple[Session, list[Draft]]:
    written = [each for piece in rebased(theirs, ours) for each in piece.drafts]
    return after(theirs, written), written


def told(written: Sequence[Draft]) -> list[tuple[str, str]]:
    return [(each.body["field"], each.body["kept"]) for each in written if each.kind == fold.RESOLVED]


def context(key: str, value: Any, at: float) -> Draft:
    return draft(fold.CONTEXT, {"key": key, "value": value}, at)


def finding(value: Any, at: float, key: str | None = None) -> Draft:
    return draft(fold.FINDING, {"value": value, **({} if key is None else {"key": key})}, at)


def test_what_meets_nothing_goes_on_top_with_its_own_instant() -> None:
    theirs = after(opened(), [context("a", 1, 50.0)])
    session, written = joined(theirs, apart(context("b", 2, 10.0), finding("seen", 11.0)))
    assert {key: kept.value for key, kept in session.context.items()} == {"a": 1, "b": 2}
    assert (session.context["b"].at, session.findings[0].at) == (10.0, 11.0)
    assert told(written) == []
    assert [each.at for each in written] == sorted(each.at for each in written)
    assert written[0].at > 50.0, "within a session instants only grow"


@pytest.mark.parametrize(("ours_at", "kept", "value"), [(60.0, "ours", "ours"), (40.0, "theirs", "theirs")])
@pytest.mark.parametrize("kind", [fold.CONTEXT, fold.PREFERENCE, fold.FINDING])
def test_of_two_values_for_one_field_the_later_is_kept_and_both_are_told(
    kind: str, ours_at: float, kept: str, value: str
) -> None:
    theirs = after(opened(), [draft(kind, {"key": "k", "value": "theirs"}, 50.0)])
    session, written = joined(theirs, apart(draft(kind, {"key": "k", "value": "ours"}, ours_at)))
    assert told(written) == [(f"{kind}.k", kept)]
    assert written[-1].body["ours"] == {"value": "ours", "at": ours_at}
    assert written[-1].body["theirs"] == {"value": "theirs", "at": 50.0}
    parts = {fold.CONTEXT: session.context, fold.PREFERENCE: session.preferences}
    now = parts[kind]["k"].value if kind in parts else session.findings_by_place["k", True].value
    assert now == value


def test_a_value_that_was_seen_before_it_was_overwritten_is_no_conflict() -> None:
    base = after(opened(), [context("k", "old", 5.0)])
    theirs = after(base, [context("other", 1, 50.0)])
    session, written = joined(theirs, apart(context("k", "new", 10.0), version=base.version))
    assert (session.context["k"].value, told(written)) == ("new", [])


def test_doing_it_again_writes_nothing() -> None:
    theirs = after(opened(), [context("a", 1, 50.0), finding("x", 51.0, "k")])
    ours = apart(
        context("a", 2, 60.0),
        finding("y", 40.0, "k"),
        finding("free", 41.0),
        draft(fold.GOAL_OPENED, {"text": "why"}, 42.0),
        draft(fold.EXPLORED, {"source": "f", "schema": "t", "attributes": ["x"]}, 43.0),
        draft(fold.CHILD_OPENED, {"child": "c"}, 44.0),
    )
    session, written = joined(theirs, ours)
    assert len(written) == 7
    _, again = joined(session, ours)
    assert [each.kind for each in again if each.kind != fold.RESOLVED] == []


def test_goals_opened_apart_are_one_when_they_say_the_same_and_else_get_numbers_of_their_own() -> None:
    theirs = after(opened(goals=["first"]), [draft(fold.GOAL_OPENED, {"text": "same"}, 50.0)])
    ours = apart(
        draft(fold.GOAL_OPENED, {"text": "mine"}, 40.0),
        draft(fold.GOAL_OPENED, {"text": "same"}, 41.0),
        draft(fold.GOAL_MOVED, {"id": "g2", "status": "done"}, 42.0),
        goals=1,
    )
    session, _ = joined(theirs, ours)
    assert [(each.id, each.text, each.status) for each in session.goals] == [
        ("g1", "first", "active"),
        ("g2", "same", "active"),
        ("g3", "mine", "done"),
    ]


def test_of_two_moves_of_one_goal_the_later_goes_for_both() -> None:
    base = opened(goals=["why"])
    theirs = after(base, [draft(fold.GOAL_MOVED, {"id": "g1", "status": "done"}, 50.0)])
    session, written = joined(theirs, apart(draft(fold.GOAL_MOVED, {"id": "g1", "status": "dropped"}, 40.0), goals=1))
    assert (session.goals[0].status, told(written)) == ("done", [("goal.g1", "theirs")])


@pytest.mark.parametrize(
    "ours",
    [
        draft(fold.CLOSED, {}, 90.0),
        draft(fold.RESTORED, {"to": 1, "state": {}}, 90.0),
    ],
    ids=["closed", "restored"],
)
def test_what_would_undo_the_work_of_others_is_told_and_not_done(ours: Draft) -> None:
    theirs = after(opened(), [context("k", 1, 50.0)])
    session, written = joined(theirs, apart(ours))
    assert session.context["k"].value == 1
    assert told(written) == [(ours.kind, "theirs")]


def test_a_call_that_was_sent_again_elsewhere_is_not_carried_out_twice() -> None:
    theirs = after(opened(), [draft(fold.FINDING, {"value": "x"}, 50.0, key="call-1")])
    assert rebased(theirs, apart(draft(fold.FINDING, {"value": "x"}, 40.0, key="call-1"))) == ()


def event(nonce: str, body: dict[str, Any] | None = None) -> Event:
    return Event(version=1, nonce=nonce, at=1.0, kind="k", actor="ann", body=body or {})


def test_a_piece_that_arrived_as_it_was_or_decided_again_is_not_missing() -> None:
    pieces = tuple(Piece(nonce=name, drafts=(finding(name, 1.0),)) for name in "abc")
    assert missing(pieces, []) == pieces
    assert missing(pieces, [event("a")]) == pieces[1:]
    assert missing(pieces, [event("b"), event("zz")]) == (pieces[0], pieces[2])
    assert missing(pieces, [event("new", {"apart": "c"})]) == pieces[:2]
    (again,) = rebased(opened(), apart(finding("x", 5.0)))
    assert missing((Piece(nonce="p0", drafts=(finding("x", 5.0),)),), [event(again.nonce, again.drafts[0].body)]) == ()


def test_what_is_decided_twice_is_still_known_by_its_first_name() -> None:
    (once,) = rebased(opened(), apart(finding("x", 5.0)))
    (twice,) = rebased(opened(), Apart(version=0, goals=0, pieces=(once,), where="here"))
    assert len({"p0", once.nonce, twice.nonce}) == 3
    for arrived in (event("p0"), event(once.nonce, once.drafts[0].body), event(twice.nonce, twice.drafts[0].body)):
        assert missing((twice,), [arrived]) == missing((once,), [arrived]) == ()


def test_events_of_one_append_stay_one_piece() -> None:
    events = [
        Event(version=version, nonce=nonce, at=1.0, kind="k", actor="ann", body={})
        for version, nonce in enumerate("aabcc", start=1)
    ]
    assert [(piece.nonce, len(piece.drafts)) for piece in pieces_of(events)] == [("a", 2), ("b", 1), ("c", 2)]


@given(st.lists(st.integers(1, 5), max_size=20), st.integers(1, 8))
def test_batches_hold_everything_in_order_within_their_bound(lengths: list[int], most: int) -> None:
    pieces = [Piece(nonce=str(place), drafts=(finding(place, 1.0),) * each) for place, each in enumerate(lengths)]
    made = list(batches(pieces, most, 10**9))
    assert [piece for batch in made for piece in batch] == pieces
    assert all(len(batch) == 1 or sum(len(piece.drafts) for piece in batch) <= most for batch in made)


_writes = st.lists(
    st.tuples(st.sampled_from(["context", "preference", "finding"]), st.sampled_from("abc"), st.integers(0, 3)),
    max_size=8,
)


def _drafts(writes: Sequence[tuple[str, str, int]], first_at: float) -> list[Draft]:
    return [
        draft(kind, {"key": key, "value": value}, first_at + 2.0 * place)
        for place, (kind, key, value) in enumerate(writes)
    ]


def _fields(session: Session) -> dict[str, Any]:
    return {
        **{f"context.{key}": kept.value for key, kept in session.context.items()},
        **{f"preference.{key}": kept.value for key, kept in session.preferences.items()},
        **{f"finding.{each.key}": each.value for each in session.findings},
    }


@given(_writes, _writes)
def test_it_does_not_matter_whose_writes_come_first(one: Any, other: Any) -> None:
    """Both sides end with the newest value of each field, and every value is in the history."""
    ours, theirs = _drafts(one, 10.0), _drafts(other, 11.0)
    forth, written = joined(after(opened(), theirs), apart(*ours))
    back, _ = joined(after(opened(), ours), apart(*theirs))
    assert _fields(forth) == _fields(back)
    newest = {f"{each.kind}.{each.body['key']}": each.body["value"] for each in sorted([*ours, *theirs], key=_at)}
    assert _fields(forth) == newest
    resolved = [each.body["ours"] for each in written if each.kind == fold.RESOLVED]
    kept = [{"value": each.body["value"], "at": each.body["at"]} for each in written if each.kind != fold.RESOLVED]
    assert all({"value": each.body["value"], "at": each.at} in [*resolved, *kept] for each in ours)


def _at(written: Draft) -> float:
    return written.at
