"""Of two copies of one session, what one holds and the other lacks is written, once."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from state import fold
from state.journal import Draft
from state.journal import Event
from state.session import Session
from state.shared.remainder import remainder


def session(*drafts: Draft) -> Session:
    body = {"handle": "s", "label": None, "ttl_s": 60.0, "goals": ["first"]}
    opening = Event(version=1, nonce="n", at=1.0, kind=fold.OPENED, actor="ann", body=body)
    return after(fold.fold([opening]), *drafts)


def after(seen: Session, *drafts: Draft) -> Session:
    return fold.advance(
        seen,
        [
            Event(version=version, nonce="n", at=each.at, kind=each.kind, actor=each.actor, body=each.body)
            for version, each in enumerate(drafts, start=seen.version + 1)
        ],
    )


def draft(kind: str, at: float, **body: Any) -> Draft:
    return Draft(at=at, kind=kind, actor="ann", body=body)


HISTORY = (
    draft(fold.FINDING, 2.0, value="free", evidence="q"),
    draft(fold.FINDING, 3.0, key="k", value="old"),
    draft(fold.CONTEXT, 4.0, key="c", value=1),
    draft(fold.GOAL_OPENED, 5.0, text="second"),
    draft(fold.GOAL_MOVED, 6.0, id="g2", status="done"),
    draft(fold.EXPLORED, 7.0, source="f", schema="t", attributes=["a", "b"]),
    draft(fold.CHILD_OPENED, 8.0, child="c1"),
    draft(fold.FINDING, 9.0, key="k", value="new"),
    draft(fold.PREFERENCE, 10.0, key="p", value=True),
)


def holding(seen: Session) -> dict[str, Any]:
    return {
        "findings": sorted((each.at, each.key or "", each.value, each.evidence or "") for each in seen.findings),
        "context": {key: (kept.at, kept.value) for key, kept in seen.context.items()},
        "preferences": {key: (kept.at, kept.value) for key, kept in seen.preferences.items()},
        "goals": [(each.text, each.status) for each in seen.goals],
        "explored": {place: set(each.attributes) for place, each in seen.explored_by_schema.items()},
        "children": seen.children,
    }


@given(st.integers(0, len(HISTORY)))
def test_an_older_copy_comes_to_hold_what_a_newer_one_does_and_then_lacks_nothing(seen: int) -> None:
    newer = session(*HISTORY)
    completed = after(session(*HISTORY[:seen]), *remainder(newer, session(*HISTORY[:seen])))
    assert holding(completed) == holding(newer)
    assert remainder(newer, completed) == ()


def test_a_newer_copy_gets_nothing_from_an_older_one() -> None:
    assert remainder(session(*HISTORY[:5]), session(*HISTORY)) == ()


def test_what_each_of_two_copies_has_seen_alone_is_in_both_in_the_end() -> None:
    one = session(*HISTORY, draft(fold.FINDING, 11.0, value="of one"))
    other = session(*HISTORY, draft(fold.FINDING, 12.0, value="of the other"))
    both = after(other, *remainder(one, other))
    assert [each.value for each in both.findings] == ["free", "new", "of the other", "of one"]
