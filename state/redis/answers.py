"""What the scripts of the journal answer, as values: the first word of an answer says which kind it is."""

from dataclasses import dataclass
from dataclasses import replace
from typing import Any

from state import chain
from state.chain import Link
from state.chain import Stored
from state.chain import Verdict
from state.chain import first_link
from state.errors import OverLimit
from state.event_text import decoded
from state.journal import AlreadyOpened
from state.journal import Chapter
from state.journal import Event
from state.journal import Head
from state.journal import JournalStatistics
from state.journal import Mark
from state.journal import Quota
from state.journal import VersionMoved
from state.quota import check_room
from state.redis.records import NotARecord
from state.redis.records import stored
from state.redis.records import stored_at
from state.redis.shared_time import SharedTime


@dataclass(frozen=True, slots=True)
class Answer:
    """What a script said."""

    word: str
    stamp: bytes
    """When it ran, by the time of Redis."""
    asked_at: float
    """When it was asked, by this machine's clock."""
    rest: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A session as `READ` told it."""

    session_id: str
    after: int
    """Where the records begin, but for the one before."""
    head: Head
    link: bytes
    start: Link
    """What the first kept event is bound to."""
    start_nonce: str | None
    size_bytes: int
    accessed_at: float
    expires_at: float
    before: bytes | None
    """The record of the event asked after. None: it is not kept, or none follows it."""
    records: tuple[bytes, ...]

    @property
    def end(self) -> int:
        """The version of the last record."""
        return self.after + len(self.records)

    @property
    def more(self) -> bool:
        """Whether there are others after the last one."""
        return self.end < self.head.version

    def joined(self, following: "Told") -> "Told | None":
        """With what was told next. None: that does not go on from here, because much was dropped or written anew."""
        if not self.records or following.before != self.records[-1]:
            return None
        return replace(following, after=self.after, before=self.before, records=self.records + following.records)

    @property
    def records_bytes(self) -> int:
        return sum(map(len, self.records))


def told(answer: Answer, session_id: str, after: int, time: SharedTime) -> Told:
    """Of an answer `ok`."""
    version, nonce, link, compacted, start_nonce, start_link, size_bytes, accessed, expires, records = answer.rest
    begin = max(after, compacted)
    follow = version > begin
    has_before = follow and begin > compacted
    return Told(
        session_id=session_id,
        after=begin,
        head=Head(version=version, nonce=nonce.decode()),
        link=link,
        start=Link(version=compacted, link=start_link) if compacted else first_link(session_id),
        start_nonce=start_nonce.decode() or None,
        size_bytes=size_bytes,
        accessed_at=time.heard(accessed, answer.stamp, answer.asked_at),
        expires_at=time.heard(expires, answer.stamp, answer.asked_at),
        before=records[0] if has_before else None,
        records=tuple(records[1:] if has_before else records),
    )


def verdict_of(seen: Told) -> tuple[Verdict, list[Stored]]:
    """Check what was read against the chain."""
    try:
        events = stored(seen.records, seen.after)
        at = seen.start if seen.before is None else _link_at(seen.after, seen.before)
    except NotARecord:
        fault = "An event is not what was written."
        return Verdict(ok=False, events=0, version=seen.after + 1, fault=fault), []
    return chain.check(at, events, Link(version=seen.head.version, link=seen.link)), events


def chapter_of(seen: Told, after: int) -> tuple[Verdict, Chapter]:
    """The chapter, and whether it can be trusted."""
    events: tuple[Event, ...] = ()
    verdict = Verdict(ok=True, events=0)
    before = None
    if seen.records:
        verdict, found = verdict_of(seen)
        if verdict.ok:
            events = tuple(decoded(each.content or b"", each.version, each.nonce) for each in found)
            before = _before(seen, after)
    return verdict, Chapter(
        head=seen.head,
        events=events,
        accessed_at=seen.accessed_at,
        expires_at=seen.expires_at,
        size_bytes=seen.size_bytes,
        before=before,
    )


def mark_of(each: list[Any], answer: Answer, time: SharedTime, life: tuple[float, float], now: float) -> Mark:
    """Of one of what `MARKS` told. `life`: as this instance knows it."""
    _, version, nonce, size_bytes, _, _, ended = each
    ended_at = time.heard(ended, answer.stamp, answer.asked_at) if ended else None
    if ended_at is None and life[1] <= now:
        ended_at = life[1]
    return Mark(
        version=version,
        nonce=nonce.decode(),
        size_bytes=size_bytes,
        accessed_at=life[0],
        expires_at=life[1],
        ended_at=ended_at,
    )


def counts_of(answer: Answer) -> JournalStatistics:
    """Of a write that was carried out."""
    sessions, events, size_bytes = (max(int(each), 0) for each in answer.rest[:3])
    return JournalStatistics(sessions=sessions, events=events, size_bytes=size_bytes)


def raise_refusal(answer: Answer, quota: Quota, version: int) -> None:
    """Raises what an append that was not carried out is refused with; returns if it was. `version`: of a checkpoint."""
    match answer.word, answer.rest:
        case "moved", (int(at), bytes(nonce)):
            raise VersionMoved(Head(version=at, nonce=nonce.decode()))
        case "moved", _:
            raise VersionMoved(None)
        case "opened", (bytes(session_id),):
            raise AlreadyOpened(session_id.decode())
        case "full", (sessions, events, size_bytes):
            check_room(quota, sessions=int(sessions), events=int(events), size_bytes=int(size_bytes))
            raise OverLimit("your open sessions hold as much as they may: close those that are done.")
        case "unfit", _:
            raise ValueError(f"version {version} of the checkpoint is none of this session's kept history")
        case _:
            return


def _before(seen: Told, after: int) -> str | None:
    if seen.before is not None:
        return stored_at(seen.after, seen.before).nonce
    return seen.start_nonce if after == seen.start.version else None


def _link_at(version: int, record: bytes) -> Link:
    return Link(version=version, link=stored_at(version, record).link)
