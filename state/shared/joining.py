"""Joins what was written apart with what is in Redis, as soon as that answers, and checks that it kept what it took."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from state import fold
from state.errors import StateBusy
from state.errors import StateError
from state.errors import StateUnavailable
from state.shared.apart import Apart
from state.shared.branch import Branch
from state.shared.bringing import Bringing
from state.shared.condition import Condition
from state.shared.copies import Copies
from state.shared.places import Link
from state.shared.places import Remote
from state.shared.recents import Recents

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 32
_PATIENCE_S: Final = 0.5
"""A call waits so long for its session to be joined before it goes on apart."""
_AGAIN_S: Final = (0.05, 0.2, 0.5, 1.0, 2.0)
_ORPHAN_S: Final = 60.0
"""Events wait so long for another instance to give back the session they belong to."""
_LOOK_EVERY_S: Final = 5.0
"""What a process that died left behind is found after at most so long."""


class Joining:
    """One task, woken when there is something to do."""

    copies: Copies

    def __init__(  # noqa: PLR0913 - one place puts it together
        self,
        remote: Remote,
        apart: Apart,
        recents: Recents,
        condition: Condition,
        link: Link,
        *,
        clock: Callable[[], float],
        tick: Callable[[], float],
        where: str,
        made_sure: Callable[[], Awaitable[bool]],
    ) -> None:
        self._remote = remote
        self._apart = apart
        self._recents = recents
        self._condition = condition
        self._link = link
        self._bringing = Bringing(remote, recents, clock=clock, where=where)
        self.made_sure = made_sure
        self._clock = clock
        self._tick = tick
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._under_way: dict[str, asyncio.Task[int]] = {}
        self._orphans: list[tuple[float, Branch]] = []

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._wake.set()

    def soon(self) -> None:
        """Something is apart."""
        self._wake.set()

    async def joined(self, session_id: str) -> bool:
        """Wait a little until the session is joined. False: it is still apart."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await asyncio.shield(self._join(session_id))
        except (TimeoutError, StateError):
            return False
        return session_id not in self._apart

    async def aclose(self) -> None:
        tasks = [task for task in (self._task, *self._under_way.values()) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self) -> None:
        failures = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S[failures - 1] if failures else _LOOK_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            failures = 0 if await self._all() else min(failures + 1, len(_AGAIN_S))

    async def _all(self) -> bool:
        """False: to be tried again soon."""
        if not self._link.up:
            return True
        try:
            done = await self._once()
        except StateBusy:
            return False
        except StateError as fault:
            self._condition.stuck(str(fault))
            return False
        except Exception as defect:  # noqa: BLE001 - the outermost loop: what is apart must not stay so for ever
            self._condition.stuck(f"a defect of this server: {defect!r}", defect)
            return False
        finally:
            self._condition.apart(len(self._apart))
        self._condition.unstuck()
        return done

    async def _once(self) -> bool:
        # Who answers is asked first: what is lost with one Redis is only missed if that one was known.
        if not await self.made_sure():
            return False
        waiting = await self._apart.look()
        if waiting:
            await self._bring_all(waiting)
        await self._prolong()
        return await self._take_in_orphans()

    async def _prolong(self) -> None:
        """Sessions that were only used meanwhile live on as if Redis had been told; others may have used them too."""
        for session_id, expires_at in self._apart.lives().items():
            there = await self._remote.read(session_id, after=sys.maxsize)
            if there is not None and there.expires_at < expires_at:
                await self._remote.touch(session_id, expires_at=expires_at)
            self._apart.forget_life(session_id, expires_at)

    async def _bring_all(self, waiting: Sequence[str]) -> None:
        began = self._tick()
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(session_id: str) -> int:
            async with slots:
                return await asyncio.shield(self._join(session_id))

        outcomes = await asyncio.gather(*(one(each) for each in waiting), return_exceptions=True)
        events = [each for each in outcomes if isinstance(each, int)]
        if events:
            self._condition.brought(len(events), sum(events), self._tick() - began)
        for fault in outcomes:
            if isinstance(fault, BaseException):
                raise fault

    def _join(self, session_id: str) -> asyncio.Task[int]:
        """One at a time for each session."""
        task = self._under_way.get(session_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._joining(session_id))
            self._under_way[session_id] = task
            task.add_done_callback(lambda done: self._ended(session_id, done))
        return task

    def _ended(self, session_id: str, task: asyncio.Task[int]) -> None:
        self._under_way.pop(session_id, None)
        if not task.cancelled():
            task.exception()  # seen, even when nobody waits any more

    async def _joining(self, session_id: str) -> int:
        written = 0
        while (branch := await self._apart.branch(session_id)) is not None:
            if branch.pieces:
                written += await self._bringing.bring(branch)
            if await self._apart.done(session_id, branch.head):
                break
        return written

    async def bring_back(self, *, emptied: bool) -> None:
        """Bring back what this instance wrote lately and Redis does not have, and whole sessions if it was emptied.

        Raises `StateBusy`: to be done again.
        """
        if emptied:
            await self._give_back()
        events = 0
        for branch in self._recents.branches():
            events += await self._bring_back(branch, emptied=emptied)
        if events:
            _log.warning("Redis had lost %d events that this instance still knew: they are back", events)

    async def _bring_back(self, branch: Branch, *, emptied: bool) -> int:
        if not emptied and await self._remote.read(branch.session_id, after=branch.version) is None:
            return 0  # it has ended
        try:
            return await self._bringing.bring(self._completed(branch))
        except StateUnavailable:
            # Only its newest events are known here: another instance may give back the session itself.
            self._orphans.append((self._tick() + _ORPHAN_S, branch))
            self._wake.set()
            return 0

    async def _take_in_orphans(self) -> bool:
        """Bring events whose session was not there when they were to be brought back. False: some still wait."""
        waiting, self._orphans = self._orphans, []
        for place, (until, branch) in enumerate(waiting):
            try:
                await self._bringing.bring(self._completed(branch))
            except StateUnavailable as fault:
                if self._tick() < until:
                    self._orphans.append((until, branch))
                else:
                    _log.error("%s", fault)
            except StateBusy:
                self._orphans += waiting[place:]
                raise
        return not self._orphans

    async def _give_back(self) -> None:
        """Sessions that are known here and not there any more, and what another one's older copy of them lacks."""
        for session_id in self.copies.copied():
            origin = self.copies.copy(session_id)
            if origin is None or origin.expires_at <= self._clock() or session_id in self._apart:
                continue
            there = await self._remote.read(session_id, after=origin.checkpoint.version)
            if there is None and await self._remote.read_past(session_id) is None:
                await self._remote.adopt(session_id, origin)
            elif there is not None and there.head.nonce != origin.checkpoint.nonce:
                await self._bringing.complete(session_id, origin.checkpoint)

    def _completed(self, branch: Branch) -> Branch:
        """With the number of goals it began with, as the copy of the session tells."""
        standing = self.copies.known(branch.session_id)
        if standing is None or branch.start is None:
            return branch
        opened = [draft for piece in branch.pieces for draft in piece.drafts if draft.kind == fold.GOAL_OPENED]
        goals = standing.session.goals
        found = [place for place, goal in enumerate(goals) if opened and goal.text == opened[0].body["text"]]
        return replace(branch, goals=found[-1] if found else len(goals))
