"""Tamper evidence: each event is bound to all before it, so that none can change, vanish or move without being noticed.

An event's *digest* is the SHA-256 of a random salt and its content; its *link* is the SHA-256 of the link before, its
version, its nonce and its digest. Content and salt can be destroyed later, and the chain of links still verifies;
without the salt nobody can guess at the content from its digest.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An event as it lies in a journal."""

    version: int
    nonce: str
    salt: bytes | None
    content: bytes | None
    """None, as the salt: forgotten on request."""
    digest: bytes
    link: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a chain has got to."""

    version: int
    link: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What checking a chain found."""

    ok: bool
    events: int
    """How many were checked: all that are kept, or those before the first bad one."""
    version: int | None = None
    """Of the first bad event. None: every event is as it was written."""
    fault: str | None = None
    """What is wrong with it, as a whole sentence. None: nothing."""


def first_link(session_id: str) -> Link:
    """What a session's first event is bound to: its id, so that events cannot be moved to another session."""
    return Link(version=0, link=hashlib.sha256(b"uds-mcp session " + session_id.encode()).digest())


def adopted_link(session_id: str, version: int, nonce: str, state: bytes) -> Link:
    """What the events are bound to that go on from a checkpoint of another journal: its session, head and content.

    So it proves itself: whoever cuts the beginning off a history cannot find a checkpoint that gives the link there.
    Raises `ValueError` for version 0, where a history of one's own begins.
    """
    if version < 1:
        raise ValueError("a session that is adopted has at least one event behind it")
    head = hashlib.sha256(b"%d %b" % (version, nonce.encode())).digest()
    known = head + hashlib.sha256(state).digest()
    return Link(version=version, link=hashlib.sha256(b"uds-mcp adopted " + known + session_id.encode()).digest())


def digest_of(salt: bytes, content: bytes) -> bytes:
    """The digest of an event's content."""
    return hashlib.sha256(salt + content).digest()


def link_of(before: bytes, version: int, nonce: str, digest: bytes) -> bytes:
    """The link of an event that follows another."""
    return hashlib.sha256(b"%b%d %b %b" % (before, version, nonce.encode(), digest)).digest()


def check(start: Link, events: Iterable[Stored], head: Link) -> Verdict:
    """Check events that go on from `start` and should end in `head`; the first bad one is named."""
    at = start
    checked = 0
    for event in events:
        fault = _fault(at, event)
        if fault is not None:
            return Verdict(ok=False, events=checked, version=min(event.version, at.version + 1), fault=fault)
        at = Link(version=event.version, link=event.link)
        checked += 1
    if at.version < head.version:
        fault = (
            f"Event {at.version + 1} and all after it are missing: the history should end with event {head.version}."
        )
        return Verdict(ok=False, events=checked, version=at.version + 1, fault=fault)
    if at != head:
        fault = f"Event {head.version} is not the one the history should end with."
        return Verdict(ok=False, events=checked, version=min(at.version, head.version), fault=fault)
    return Verdict(ok=True, events=checked)


def _fault(before: Link, event: Stored) -> str | None:
    if event.version > before.version + 1:
        return f"Event {before.version + 1} is missing."
    if event.version <= before.version:
        return f"Event {event.version} is there twice."
    if event.content is not None and digest_of(event.salt or b"", event.content) != event.digest:
        return f"The content of event {event.version} is not what was written."
    if link_of(before.link, event.version, event.nonce, event.digest) != event.link:
        return f"Event {event.version} does not follow the one before it: one of them was changed, moved or put in."
    return None
