"""The chain of events: what is untouched verifies, and whatever else is done is found at the first bad event."""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.chain import Link
from state.chain import Stored
from state.chain import check
from state.chain import digest_of
from state.chain import first_link
from state.chain import link_of

History = list[Stored]
_CONTENTS = [b"one", b"two", b"three", b"four", b"five"]


def chained(contents: list[bytes], *, session: str = "s") -> History:
    events: History = []
    before = first_link(session)
    for version, content in enumerate(contents, start=1):
        salt, nonce = os.urandom(16), f"nonce{version}"
        digest = digest_of(salt, content)
        link = link_of(before.link, version, nonce, digest)
        events.append(Stored(version=version, nonce=nonce, salt=salt, content=content, digest=digest, link=link))
        before = Link(version=version, link=link)
    return events


def head_of(events: History) -> Link:
    return Link(version=events[-1].version, link=events[-1].link)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=20), st.data())
def test_what_is_untouched_verifies_as_a_whole_and_from_any_event(contents: list[bytes], data: st.DataObject) -> None:
    events = chained(contents)
    whole = check(first_link("s"), events, head_of(events))
    assert (whole.ok, whole.events, whole.version, whole.fault) == (True, len(events), None, None)
    cut = data.draw(st.integers(1, len(events)))
    tail = check(head_of(events[:cut]), events[cut:], head_of(events))
    assert (tail.ok, tail.events) == (True, len(events) - cut)


@given(st.integers(0, 4))
def test_a_content_that_was_forgotten_with_its_salt_leaves_the_chain_whole(place: int) -> None:
    events = chained(_CONTENTS)
    events[place] = replace(events[place], content=None, salt=None)
    assert check(first_link("s"), events, head_of(events)).ok


def _rehashed(event: Stored, content: bytes) -> Stored:
    """Changed by somebody who knows how digests are made."""
    return replace(event, content=content, digest=digest_of(event.salt or b"", content))


def _relinked(events: History, content: bytes) -> History:
    """Changed by somebody who makes the whole rest of the chain anew."""
    contents = [event.content or b"" for event in events]
    return [*events[:2], *chained([*contents[:2], content, *contents[3:]])[2:]]


TAMPERINGS: dict[str, tuple[Callable[[History], History], int, int]] = {
    "a content is changed": (lambda e: [*e[:2], replace(e[2], content=b"other"), *e[3:]], 3, 2),
    "a content is emptied": (lambda e: [*e[:2], replace(e[2], content=b""), *e[3:]], 3, 2),
    "a salt is changed": (lambda e: [*e[:2], replace(e[2], salt=b"0" * 16), *e[3:]], 3, 2),
    "a salt is taken away": (lambda e: [*e[:2], replace(e[2], salt=None), *e[3:]], 3, 2),
    "a content is changed with its digest": (lambda e: [*e[:2], _rehashed(e[2], b"other"), *e[3:]], 3, 2),
    "a nonce is changed": (lambda e: [*e[:2], replace(e[2], nonce="another"), *e[3:]], 3, 2),
    "a link is changed": (lambda e: [*e[:2], replace(e[2], link=b"0" * 32), *e[3:]], 3, 2),
    "an event is taken out": (lambda e: [*e[:2], *e[3:]], 3, 2),
    "the first event is taken out": (lambda e: e[1:], 1, 0),
    "an event is there twice": (lambda e: [*e[:3], e[2], *e[3:]], 3, 3),
    "events change places": (lambda e: [*e[:2], e[3], e[2], *e[4:]], 3, 2),
    "events change places and versions": (
        lambda e: [*e[:2], replace(e[3], version=3), replace(e[2], version=4), *e[4:]],
        3,
        2,
    ),
    "the end is cut off": (lambda e: e[:3], 4, 3),
    "all is cut off": (lambda _: [], 1, 0),
    "an event is put behind": (lambda e: [*e, replace(e[4], version=6)], 6, 5),
    "all is of another session": (lambda _: chained(_CONTENTS, session="t"), 1, 0),
    "the rest is made anew": (lambda e: _relinked(e, b"other"), 3, 2),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_whatever_is_done_to_a_history_the_first_bad_event_is_named(name: str) -> None:
    tamper, version, good = TAMPERINGS[name]
    events = chained(_CONTENTS)
    verdict = check(first_link("s"), tamper(events), head_of(events))
    assert (verdict.ok, verdict.version, verdict.events) == (False, version, good)
    assert verdict.fault is not None
    assert verdict.fault.endswith(".")


def test_a_history_that_was_made_anew_as_a_whole_does_not_end_where_the_old_one_did() -> None:
    events, other = chained(_CONTENTS), chained(_CONTENTS)
    verdict = check(first_link("s"), other, head_of(events))
    assert (verdict.ok, verdict.version) == (False, 5)
    assert verdict.fault == "Event 5 is not the one the history should end with."


def test_equal_contents_have_digests_that_tell_nothing_about_each_other() -> None:
    one, other = chained([b"same", b"same"])
    assert one.digest != other.digest
    assert first_link("s") != first_link("t")
