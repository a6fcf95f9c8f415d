"""Whatever is done to a stored history, its check names the first event that is not as it was written."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import fold
from state.chain import Link
from state.chain import Stored
from state.chain import digest_of
from state.chain import first_link
from state.chain import link_of
from state.journal import Draft
from state.sqlite.records import Kept
from state.sqlite.records import Record
from state.sqlite.records import Row
from state.sqlite.records import following
from state.sqlite.verdicts import judged

_ID = "a-session-of-mine"
_EVENTS = 8


def _draft(kind: str, **body: object) -> Draft:
    return Draft(at=1_000.0, kind=kind, actor="me", body=dict(body))


def _record(drafts: list[Draft]) -> Record:
    head, events = first_link(_ID), list[Stored]()
    for draft in drafts:
        events.append(following(head, draft))
        head = Link(version=events[-1].version, link=events[-1].link)
    row = Row(
        id=_ID,
        owner="me",
        opened_key=None,
        opened_at=1_000.0,
        accessed_at=1_000.0,
        expires_at=2_000.0,
        ended_at=None,
        version=head.version,
        nonce=events[-1].nonce,
        link=head.link,
        size_bytes=0,
        compacted_version=0,
        compacted_link=first_link(_ID).link,
    )
    kept = Kept(version=3, nonce=events[2].nonce, state=b"three", digest=sha256(b"three").digest())
    return _sized(Record(row=row, events=tuple(events), checkpoints=(kept,)))


def _whole() -> Record:
    drafts = [_draft(fold.FINDING, value=number) for number in range(_EVENTS - 1)]
    return _record([_draft(fold.OPENED, handle=_ID, ttl_s=60.0), *drafts])


def _compacted(through: int) -> Record:
    """As compaction leaves it: the event that says so, a checkpoint, and nothing before that."""
    drafts = [_draft(fold.FINDING, value=number) for number in range(_EVENTS - 2)]
    whole = _record([_draft(fold.OPENED), *drafts, _draft(fold.COMPACTED, through=through)])
    return _cut_front(whole, through)


def _forgotten(record: Record) -> Record:
    added = following(record.row.head, _draft("forgotten", events=len(record.events)))
    emptied = [replace(each, salt=None, content=None) for each in record.events]
    return _headed(replace(record, events=(*emptied, added), checkpoints=()))


def _cut_front(record: Record, through: int) -> Record:
    base = record.events[through - 1]
    kept = Kept(version=through, nonce=base.nonce, state=b"base", digest=sha256(b"base").digest())
    row = replace(record.row, compacted_version=through, compacted_link=base.link)
    return _sized(replace(record, row=row, events=record.events[through:], checkpoints=(kept,)))


def _sized(record: Record) -> Record:
    size_bytes = sum(len(each.content or b"") for each in record.events)
    return replace(record, row=replace(record.row, size_bytes=size_bytes))


def _headed(record: Record) -> Record:
    """With a row that says what the events say, as a careful forger would leave it."""
    last = record.events[-1]
    row = replace(record.row, version=last.version, nonce=last.nonce, link=last.link)
    return _sized(replace(record, row=row))


def _event(record: Record, version: int, event: Stored) -> Record:
    changed = [event if each.version == version else each for each in record.events]
    return replace(record, events=tuple(changed))


def _edited(record: Record, *, relinked: bool = False, to_the_end: bool = False) -> Record:
    """Event 4 says something else; with its own hashes made to fit, or those of all events after it too."""
    events = list(record.events)
    salt, content = events[3].salt or b"", b'[1000.0,"finding","me",{"value":"forged"},null]'
    for place in range(3, len(events)):
        each = events[place]
        if place == 3:
            each = replace(each, content=content, digest=digest_of(salt, content) if relinked else each.digest)
        if relinked and (place == 3 or to_the_end):
            link = link_of(events[place - 1].link, each.version, each.nonce, each.digest)
            each = replace(each, link=link)
        events[place] = each
    return _headed(replace(record, events=tuple(events)))


def _without(record: Record, version: int) -> Record:
    return replace(record, events=tuple(each for each in record.events if each.version != version))


def _renumbered(record: Record) -> Record:
    gone = _without(record, 4)
    return _headed(replace(gone, events=tuple(replace(each, version=n) for n, each in enumerate(gone.events, 1))))


def _with_one_put_in(record: Record) -> Record:
    forged = following(Link(version=3, link=record.events[2].link), _draft(fold.FINDING, value="forged"))
    behind = [replace(each, version=each.version + 1) for each in record.events[3:]]
    return _headed(replace(record, events=(*record.events[:3], forged, *behind)))


def _swapped(record: Record) -> Record:
    fourth, fifth = record.events[3], record.events[4]
    return _event(_event(record, 4, replace(fifth, version=4)), 5, replace(fourth, version=5))


def _another_owner(record: Record) -> Record:
    return replace(record, row=replace(record.row, owner="you"))


def _emptied(record: Record) -> Record:
    return _sized(_event(record, 4, replace(record.events[3], salt=None, content=None)))


def _bad_checkpoint(record: Record) -> Record:
    return replace(record, checkpoints=(replace(record.checkpoints[0], state=b"other"),))


def _foreign_checkpoint(record: Record) -> Record:
    return replace(record, checkpoints=(replace(record.checkpoints[0], nonce="of another"),))


def _moved(record: Record) -> Record:
    return replace(record, row=replace(record.row, id="another-session"))


def _truncated(record: Record) -> Record:
    return _headed(replace(record, events=record.events[:5]))


_Tampering = Callable[[Record], Record]
_TAMPERINGS: list[tuple[str, _Tampering, int, str]] = [
    ("edited", _edited, 4, "not what was written"),
    ("edited, its hashes fitted", lambda whole: _edited(whole, relinked=True), 5, "does not follow"),
    ("all after it fitted too", lambda whole: _edited(whole, relinked=True, to_the_end=True), 8, "acknowledged"),
    ("one deleted", lambda whole: _without(whole, 4), 4, "missing"),
    ("one deleted, the rest renumbered", _renumbered, 4, "does not follow"),
    ("the first deleted", lambda whole: _without(whole, 1), 1, "missing"),
    ("one put in", _with_one_put_in, 5, "does not follow"),
    ("one twice", lambda whole: replace(whole, events=(*whole.events, whole.events[-1])), 8, "twice"),
    ("two in each other's place", _swapped, 4, "does not follow"),
    ("the end cut off", lambda whole: replace(whole, events=whole.events[:5]), 6, "missing"),
    ("the end cut off, the row fitted", _truncated, 6, "event 8 was acknowledged"),
    ("the beginning cut off as if compacted", lambda whole: _cut_front(whole, 3), 1, "no event says"),
    ("a content emptied", _emptied, 4, "no event says"),
    ("all in another session", _moved, 1, "does not follow"),
    ("under another owner", _another_owner, 1, "another owner"),
    ("another checkpoint", _bad_checkpoint, 3, "not what was written"),
    ("another history's checkpoint", _foreign_checkpoint, 3, "another history"),
    ("another nonce in the row", lambda whole: replace(whole, row=replace(whole.row, nonce="n")), 8, "row"),
    ("another size in the row", lambda whole: replace(whole, row=replace(whole.row, size_bytes=1)), 8, "row"),
]


@pytest.mark.parametrize(
    ("tamper", "version", "told"), [each[1:] for each in _TAMPERINGS], ids=[t[0] for t in _TAMPERINGS]
)
def test_every_tampering_is_found_and_its_first_bad_event_named(tamper: _Tampering, version: int, told: str) -> None:
    whole = _whole()
    assert judged(whole, whole.row.head).ok
    verdict = judged(tamper(whole), whole.row.head)
    assert (verdict.ok, verdict.version) == (False, version)
    assert told in (verdict.fault or "")


@pytest.mark.parametrize("record", [_whole(), _compacted(3), _forgotten(_whole()), _forgotten(_compacted(3))])
def test_histories_as_the_product_leaves_them_are_good(record: Record) -> None:
    assert judged(record, record.row.head).ok
    assert judged(record, None).ok


@pytest.mark.parametrize("version", range(1, _EVENTS + 1))
def test_an_anchor_that_lags_is_no_fault(version: int) -> None:
    whole = _whole()
    assert judged(whole, Link(version=version, link=whole.events[version - 1].link)).ok


def test_an_anchor_before_the_first_kept_event_cannot_be_compared() -> None:
    assert judged(_compacted(3), Link(version=2, link=b"long gone")).ok


def test_an_anchor_at_the_point_of_compaction_is_compared() -> None:
    assert judged(_compacted(3), Link(version=3, link=b"another")).version == 3


def test_more_emptied_events_than_were_forgotten_are_found() -> None:
    record = _forgotten(_whole())
    later = following(record.row.head, _draft(fold.FINDING, value="later"))
    emptied = replace(following(Link(version=later.version, link=later.link), _draft("x")), salt=None, content=None)
    verdict = judged(_headed(replace(record, events=(*record.events, later, emptied))), None)
    assert (verdict.ok, verdict.version) == (False, 1)


def test_a_compacted_history_needs_its_checkpoint() -> None:
    verdict = judged(replace(_compacted(3), checkpoints=()), None)
    assert (verdict.ok, verdict.version) == (False, 3)


def _flipped(value: bytes, bit: int) -> bytes:
    place = bit % (8 * len(value))
    return value[: place // 8] + bytes([value[place // 8] ^ 1 << place % 8]) + value[place // 8 + 1 :]


@given(version=st.integers(1, _EVENTS), part=st.sampled_from(["salt", "content", "digest", "link"]), bit=st.integers(0))
def test_no_bit_of_an_event_can_turn_unnoticed(version: int, part: str, bit: int) -> None:
    whole = _whole()
    event = whole.events[version - 1]
    changed: Stored = replace(event, **{part: _flipped(getattr(event, part), bit)})
    verdict = judged(_event(whole, version, changed), None)
    assert not verdict.ok
    assert verdict.version == version
