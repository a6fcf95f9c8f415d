"""What the commands that look at state find in Redis, in the same values as in a file."""

import asyncio
import time
from collections.abc import AsyncGenerator
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Final
from typing import TypeVar

from server.settings import Settings
from state import checkpoint
from state.errors import InvalidValue
from state.fold import OPENED
from state.fold import advance
from state.fold import fold
from state.journal import Chapter
from state.journal import Event
from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.journal import RedisJournal
from state.redis.keys import Keys
from state.session import Session
from state.sqlite.listing import Happened
from state.sqlite.listing import Listed
from state.sqlite.listing import Listing
from state.sqlite.listing import Timeline
from state.sqlite.verify import Verification
from state.sqlite.verify import Wrong

T = TypeVar("T")

_AT_ONCE: Final = 64
_NAME_CHARS_LEAST: Final = 6


@asynccontextmanager
async def shared_journal(settings: Settings) -> AsyncGenerator[RedisJournal]:
    """The journal in Redis alone, for looking."""
    address = parse(settings.redis_url or "")
    wire = open_wire(address, pool_size=settings.redis_pool_size, retries=settings.redis_max_retries)
    journal = RedisJournal(
        wire, keys=Keys(prefix=address.prefix), clock=time.time, origin="", kept_past_s=settings.retention_s
    )
    try:
        yield journal
    finally:
        await journal.aclose()
        await wire.aclose()


async def listed(journal: RedisJournal, *, owner: str | None, past: bool, limit: int) -> Listing:
    """The open sessions, with `past` also those that ended, newest access first. Raises `StateError`."""

    async def look(session_id: str) -> Listed | None:
        live = await journal.read(session_id)
        found = live or (await journal.read_past(session_id) if past else None)
        return None if found is None else await _listed(journal, session_id, found, ended=live is None)

    every = await _each(await journal.held(), look)
    wanted = [each for each in every if each is not None and owner in (None, each.owner)]
    newest = sorted(wanted, key=lambda each: each.accessed_at, reverse=True)
    return Listing(sessions=tuple(newest[:limit]), more=max(len(newest) - limit, 0))


async def timeline(journal: RedisJournal, name: str) -> Timeline:
    """What happened in a session whose name may be cut to six characters or more. Raises `StateError`."""
    session_id = _meant(await journal.held(), name)
    chapter = await journal.read(session_id) or await journal.read_past(session_id)
    if chapter is None:
        raise InvalidValue(f"session {name[:40]} has just been deleted")
    first = chapter.events[0].version if chapter.events else chapter.head.version + 1
    events = tuple(Happened(version=each.version, event=each) for each in chapter.events)
    return Timeline(session=session_id, events=events, compacted_version=first - 1)


async def verified(journal: RedisJournal, name: str | None, where: str) -> Verification:
    """Check the histories of all open sessions, or of one. Raises `StateError`."""
    held = await journal.held()
    wanted = held if name is None else (_meant(held, name),)
    verdicts = await _each(wanted, journal.verify)
    checked = [(session_id, each) for session_id, each in zip(wanted, verdicts, strict=True) if each is not None]
    return Verification(
        path=where,
        sessions=len(checked),
        events=sum(each.events for _, each in checked),
        forgotten=0,
        anchored=0,
        wrong=tuple(
            Wrong(session=session_id, version=each.version, fault=each.fault or "")
            for session_id, each in checked
            if not each.ok
        ),
    )


async def _listed(journal: RedisJournal, session_id: str, found: Chapter, *, ended: bool) -> Listed:
    session = await _folded(journal, session_id, found.events)
    goals = () if session is None else session.goals
    active = [goal.text for goal in goals if goal.status == "active"]
    return Listed(
        session=session_id,
        owner=found.events[0].actor if found.events else "" if session is None else session.owner,
        version=found.head.version,
        size_bytes=found.size_bytes,
        opened_at=found.accessed_at if session is None else session.created_at,
        accessed_at=found.accessed_at,
        expires_at=found.expires_at,
        ended_at=found.expires_at if ended else None,
        label=None if session is None else session.label,
        goal=(active or [goal.text for goal in goals] or [None])[-1],
        forgotten=False,
    )


async def _folded(journal: RedisJournal, session_id: str, events: Sequence[Event]) -> Session | None:
    try:
        if events and events[0].kind == OPENED:
            return fold(events)
        most = events[0].version - 1 if events else None
        kept = await journal.checkpoint(session_id, most=most)
        begun = None if kept is None else checkpoint.decoded(kept.state)
        return None if begun is None else advance(begun, events)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # something else than sessions wrote it


async def _each(ids: Iterable[str], look: Callable[[str], Awaitable[T]]) -> list[T]:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(session_id: str) -> T:
        async with slots:
            return await look(session_id)

    return await asyncio.gather(*(one(each) for each in ids))


def _meant(held: Iterable[str], name: str) -> str:
    """Raises `InvalidValue`."""
    every = tuple(held)
    found = [each for each in every if each == name]
    if not found and len(name) >= _NAME_CHARS_LEAST:
        found = [each for each in every if each.startswith(name)]
    if len(found) == 1:
        return found[0]
    told = "several sessions begin" if found else "no session begins"
    raise InvalidValue(f"{told} with {name[:40]!r}: `uds-mcp sessions --all` lists them")
