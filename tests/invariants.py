"""What must hold after whatever happened: looked at through every server, once all faults are over.

No acknowledged write is missing, none is there twice, every chain verifies, all servers tell the same, and no answer
that was not marked as degraded was stale.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos_load import Kept
from tests.chaos_load import Record
from tests.linearizable import backward
from tests.linearizable import violations
from tests.uds_process import Caller
from tests.uds_process import callers

_PAGE_EVENTS = 200
_LOOK_EVERY_S = 0.05
_PASSING = ("last_access_at", "expires_at", "degraded")
"""Fields of a session that move without an event."""
_NEVER = ("unknown_session", "access_denied", "invalid_argument", "too_large")
"""Codes that nobody is to be told who asks for a live session in the right way."""

Whole = Mapping[str, Any]
"""A session as its resource tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One session at the end, as every server tells it."""

    session: str
    wholes: tuple[Whole, ...]
    timeline: tuple[str, ...]
    """A sentence for each event, oldest first, as the first server tells it."""
    verified: bool


class NeverTheSame(AssertionError):
    """The servers did not come to tell the same in time."""


async def converged(addresses: Sequence[str], sessions: Sequence[str], *, within_s: float) -> float:
    """Wait until all servers tell the same of all sessions and no answer is degraded; how long that took, in seconds.

    Raises `NeverTheSame`.
    """
    began_at = time.monotonic()
    async with callers(addresses) as servers:
        for session in sessions:
            while (told := await _apart(servers, session)) is not None:
                if time.monotonic() - began_at > within_s:
                    raise NeverTheSame(f"{session} after {within_s:g} s: {told}")
                await asyncio.sleep(_LOOK_EVERY_S)
    return time.monotonic() - began_at


async def _apart(servers: Sequence[Caller], session: str) -> str | None:
    """What differs between the servers. None: nothing, and all of them know everything."""
    tolds = await asyncio.gather(*(each.whole(session) for each in servers))
    for place, told in enumerate(tolds):
        if told.answer is None or told.degraded:
            return f"server {place} says {told.refusal or told.degraded or 'nothing'}"
    return _difference([told.answer or {} for told in tolds])


def _difference(wholes: Sequence[Whole]) -> str | None:
    first = wholes[0]
    for name in first:
        tolds = [whole.get(name) for whole in wholes]
        if name not in _PASSING and any(each != tolds[0] for each in tolds):
            return f"etags are {[whole.get('etag') for whole in wholes]}, and {name} differ: {tolds}"
    return None


def _lasting(whole: Whole) -> str:
    return json.dumps({name: part for name, part in whole.items() if name not in _PASSING}, sort_keys=True)


async def endings(addresses: Sequence[str], sessions: Sequence[str]) -> list[Ending]:
    """To be asked once the servers have converged."""
    async with callers(addresses, within_s=30.0) as servers:
        return [await _ending(servers, session) for session in sessions]


async def _ending(servers: Sequence[Caller], session: str) -> Ending:
    tolds = [await each.whole(session) for each in servers]
    wholes = tuple(told.answer for told in tolds if told.answer is not None)
    assert len(wholes) == len(servers), tolds
    timeline: list[str] = []
    verified = True
    version = 0
    while version < wholes[0]["version"]:
        page = await servers[0].ask("session_history", session=session, since=version, limit=_PAGE_EVENTS)
        timeline += [each["summary"] for each in page["events"]]
        verified = verified and page["verified"]
        if not page["events"]:
            break  # what came before was compacted
        version = page["events"][-1]["version"]
    return Ending(session=session, wholes=wholes, timeline=tuple(timeline), verified=verified)


def broken(record: Record, ends: Sequence[Ending], *, linear: bool = True, emptied: bool = False) -> list[str]:
    """Every promise that was broken, as a sentence for a person. `linear=False`: durability only.

    `emptied`: Redis came back with nothing, so that sessions begin with a checkpoint and values that were overwritten
    before are in no history any more.
    """
    by_session = {each.session: each for each in ends}
    faults = [fault for end in ends for fault in _of_ending(end, emptied=emptied)]
    for kept in record.kept:
        if kept.field == "finding" or not emptied:
            faults += _of_kept(kept, by_session[kept.session])
    faults += [f"a live session was refused: {each}" for each in record.refusals if each.startswith(_NEVER)]
    return [*faults, *(unmarked(record) if linear and not emptied else ())]


def unmarked(record: Record) -> list[str]:
    """Answers that were stale, or wrong in another way, and did not say that they may be."""
    plain = [each for each in record.operations if each.act != "refused" or not record.was_degraded]
    faults = [
        f"{each.session} is not linearizable: {each.placed} of {each.of} operations fit, {each.stuck} does not"
        for each in violations(plain)
    ]
    pairs = backward(plain)
    return faults + [f"after {before} came {after}" for before, after in pairs]


def lost(record: Record, ends: Sequence[Ending]) -> int:
    """Writes that were acknowledged and are not there."""
    by_session = {each.session: each for each in ends}
    return sum(_times(each, by_session[each.session]) == 0 for each in record.acknowledged)


def doubled(record: Record, ends: Sequence[Ending]) -> int:
    """Writes that are there more than once, acknowledged or not."""
    by_session = {each.session: each for each in ends}
    return sum(_times(each, by_session[each.session]) > 1 for each in record.kept)


def _of_ending(end: Ending, *, emptied: bool) -> Iterable[str]:
    if not end.verified:
        yield f"{end.session}: the chain does not verify"
    if len({_lasting(each) for each in end.wholes}) != 1:
        yield f"{end.session}: servers tell different things: {[each['etag'] for each in end.wholes]}"
    if len(end.timeline) != end.wholes[0]["version"] and not emptied:
        yield f"{end.session}: {len(end.timeline)} events, and the version is {end.wholes[0]['version']}"


def _of_kept(kept: Kept, end: Ending) -> Iterable[str]:
    times = _times(kept, end)
    if times > 1:
        yield f"{times} times there: {kept}"
    if kept.acknowledged and times == 0:
        yield f"acknowledged and lost: {kept}"


def _times(kept: Kept, end: Ending) -> int:
    """How often a value was written, as the session and its timeline tell."""
    if kept.field == "finding":
        return _findings(end)[kept.value]
    # One that was written apart and met another is told of only where they met, and may meet more than one.
    return _told(end, "Set ")[kept.value] or min(1, _told(end, "Two values met ")[kept.value])


def _findings(end: Ending) -> Counter[str]:
    return Counter(str(each["value"]) for each in end.wholes[0]["findings"])


def _told(end: Ending, beginning: str) -> Counter[str]:
    """Values that are told of, in quotes, in sentences that begin so."""
    lines = [line for line in end.timeline if line.startswith(beginning)]
    return Counter(part.partition("”")[0] for line in lines for part in line.split("“")[1:])
