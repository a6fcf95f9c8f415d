"""Events as they lie in Redis: what goes in comes out, bound to what came before, and damage is found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.chain import Link
from state.chain import check
from state.chain import first_link
from state.event_text import decoded
from state.journal import Checkpoint
from state.journal import Draft
from state.journal import Piece
from state.redis.records import NotARecord
from state.redis.records import sealed
from state.redis.records import stored
from state.redis.records import stored_at
from state.redis.records import unsealed
from state.redis.records import written
from state.redis.shared_time import SharedTime
from state.redis.touches import Touches
from tests.conftest import ManualClock

_TEXTS = st.text(max_size=40).filter(lambda text: not any("\ud800" <= each <= "\udfff" for each in text))
_NONCES = st.text(min_size=1, max_size=60).filter(lambda text: not any("\ud800" <= each <= "\udfff" for each in text))
_DRAFTS = st.builds(
    Draft,
    at=st.floats(allow_nan=False, allow_infinity=False),
    kind=_TEXTS,
    actor=_TEXTS,
    body=st.dictionaries(_TEXTS, _TEXTS | st.integers() | st.none(), max_size=3),
    key=st.none() | _TEXTS,
)
_PIECES = st.lists(
    st.builds(Piece, nonce=_NONCES, drafts=st.lists(_DRAFTS, min_size=1, max_size=3).map(tuple)), min_size=1, max_size=4
)


@given(pieces=_PIECES, version=st.integers(0, 10**9))
def test_what_was_written_is_read_and_follows_what_was_before(pieces: list[Piece], version: int) -> None:
    start = Link(version=version, link=first_link("s").link)
    new = written(start, pieces)
    events = stored(new.records, version)
    assert check(start, events, new.head).ok
    assert [decoded(each.content or b"", each.version, each.nonce).body for each in events] == [
        draft.body for piece in pieces for draft in piece.drafts
    ]
    assert [each.nonce for each in events] == [piece.nonce for piece in pieces for _ in piece.drafts]
    assert (new.nonce, new.size_bytes) == (pieces[-1].nonce, sum(len(each.content or b"") for each in events))


@given(pieces=_PIECES, place=st.integers(0), bit=st.integers(0, 7))
def test_any_bit_that_is_flipped_is_found(pieces: list[Piece], place: int, bit: int) -> None:
    start = first_link("s")
    new = written(start, pieces)
    records = [bytearray(each) for each in new.records]
    damaged = records[place % len(records)]
    damaged[place // len(records) % len(damaged)] ^= 1 << bit
    try:
        events = stored(map(bytes, records), 0)
    except NotARecord:
        return
    assert not check(start, events, new.head).ok


@given(length=st.integers(0, 90))
def test_a_record_that_is_cut_off_is_none_or_does_not_hold(length: int) -> None:
    new = written(first_link("s"), [Piece(nonce="n", drafts=(Draft(at=1.0, kind="k", actor="a", body={}),))])
    with pytest.raises(NotARecord):
        stored_at(1, new.records[0][: min(length, 81)])


@pytest.mark.parametrize("pieces", [(), (Piece(nonce="n", drafts=()),)])
def test_nothing_to_write_is_refused(pieces: tuple[Piece, ...]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        written(first_link("s"), pieces)


@pytest.mark.parametrize("nonce", ["", "n" * 256])
def test_a_nonce_that_does_not_fit_is_refused(nonce: str) -> None:
    with pytest.raises(ValueError, match="nonce"):
        written(first_link("s"), [Piece(nonce=nonce, drafts=(Draft(at=1.0, kind="k", actor="a", body={}),))])


@given(state=st.binary(max_size=60), nonce=_NONCES, place=st.integers(0), bit=st.integers(0, 7))
def test_a_checkpoint_comes_back_whole_or_not_at_all(state: bytes, nonce: str, place: int, bit: int) -> None:
    checkpoint = Checkpoint(version=7, nonce=nonce, state=state)
    kept = bytearray(sealed(checkpoint))
    assert unsealed(7, bytes(kept)) == checkpoint
    kept[place % len(kept)] ^= 1 << bit
    assert unsealed(7, bytes(kept)) is None
    assert unsealed(7, bytes(kept[: place % len(kept)])) is None


def test_instants_are_told_from_now_and_heard_from_when_it_was_asked() -> None:
    clock = ManualClock(1_000.0)
    times = SharedTime(clock)
    assert (times.now(), times.told(1_100.0), times.told(990.5)) == ("", "100.0", "-9.5")
    assert times.heard(b"5100", b"5000", 1_000.0) == 1_100.0
    exact = SharedTime(clock, ManualClock(0.1 + 0.2))
    assert (exact.now(), exact.told(0.1 + 0.2), exact.heard(b"0.30000000000000004", b"7", 9.0)) == (
        "0.30000000000000004",
        "0.30000000000000004",
        0.1 + 0.2,
    )


def test_a_touch_counts_until_it_is_told_or_something_later_happened() -> None:
    touches = Touches(SharedTime(ManualClock(), ManualClock()))
    touches.put("s", at=10.0, expires_at=110.0)
    assert touches.life("s", 5.0, 105.0) == (10.0, 110.0)
    assert touches.life("s", 11.0, 111.0) == (11.0, 111.0), "another instance was later"
    assert touches.life("s", 5.0, 10.0) == (5.0, 10.0), "it had ended before"
    first = touches.some(5)
    touches.put("s", at=20.0, expires_at=120.0)
    assert touches.told("s") == ("10.0", "20.0", "120.0"), "it was alive since the first"
    touches.settle(first)
    assert touches.life("s", 10.0, 110.0) == (20.0, 120.0), "a newer one still waits"
    touches.settle(touches.some(5))
    assert (touches.count, touches.told("s"), touches.of("s")) == (0, ("", "", ""), None)
