"""A cluster: one lane for each node, the map of slots, and following keys that moved."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from state.redis.address import Place
from state.redis.calls import Seen
from state.redis.calls import packed
from state.redis.gathering import Lane
from state.redis.link import Link
from state.redis.replies import Broken
from state.redis.replies import Wrong
from state.redis.slots import pointed_to
from state.redis.slots import slot_map
from state.redis.slots import slot_of
from state.redis.wire import Away

_HOPS_MOST = 5
_ASKED_AT_ONCE = 8
_LOOK_LEAST_S = 0.05
"""Between two looks at who has what."""
_LOOK_WITHIN_S = 1.0
_SLOTS = packed(("CLUSTER", "SLOTS"))
_ASKING = packed(("ASKING",))

DialTo = Callable[[Place], Awaitable[Link]]


class Spread:
    """The way to whichever node has a key. `home`: a key whose node decides whether the cluster counts as up."""

    def __init__(
        self, dial_to: DialTo, places: Sequence[Place], seen: Seen, *, home: str, lines: int, deadline_s: float
    ) -> None:
        self._dial_to = dial_to
        self._first = tuple(places)
        self._seen = seen
        self._home = slot_of(home)
        self._lines = lines
        self._deadline_s = deadline_s
        self._map: dict[int, Place] = {}
        self._lanes: dict[Place, Lane] = {}
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")
        self._closed = False

    async def ask(self, command: bytes, *, key: str, within_s: float, alone: bool = True) -> Any:
        end_at = time.monotonic() + within_s
        slot = slot_of(key)
        place = self._map.get(slot) or await self._place(slot, within_s)
        asking = b""
        left_s = within_s
        for _ in range(_HOPS_MOST):
            reply = await self._lane(place).ask(command, within_s=left_s, asking=asking)
            if not isinstance(reply, Wrong) or not reply.moved:
                break
            if reply.code == "ASK" and not alone:
                return Wrong("TRYAGAIN", reply.text)
            place = pointed_to(reply.text, place)
            asking = _ASKING if reply.code == "ASK" else b""
            if reply.code == "MOVED":
                self._moved(slot, place)
            left_s = max(end_at - time.monotonic(), 0.0)
        else:
            raise Away("its nodes point at each other", sent=False)
        if isinstance(reply, Wrong) and reply.code == "CLUSTERDOWN":
            self.look_again()
        return reply

    async def listening(self, key: str) -> Link:
        return await self._dial_to(await self._place(slot_of(key), self._deadline_s))

    def renew(self) -> None:
        for lane in self._lanes.values():
            lane.renew()
        self.look_again()

    def is_home(self, place: Place) -> bool:
        """Whether a node has what decides whether the cluster is up."""
        return self._map.get(self._home) == place

    def look_again(self) -> None:
        """Learn soon who has what."""
        if self._looking is None and not self._closed:
            pause_s = max(self._looked_at + _LOOK_LEAST_S - time.monotonic(), 0.0)
            self._looking = asyncio.create_task(self._look(pause_s), name="redis cluster look")

    async def aclose(self) -> None:
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await asyncio.gather(*(lane.aclose() for lane in self._lanes.values()))

    def _lane(self, place: Place) -> Lane:
        lane = self._lanes.get(place)
        if lane is None:

            async def dial() -> Link:
                return await self._dial_to(place)

            lane = Lane(dial, _NodeSeen(self, self._seen, place), lines=self._lines, deadline_s=self._deadline_s)
            self._lanes[place] = lane
        return lane

    async def _place(self, slot: int, within_s: float) -> Place:
        """Raises Away."""
        if slot not in self._map:
            self.look_again()
            if self._looking is not None:
                await asyncio.wait([self._looking], timeout=within_s)
        if slot not in self._map:
            raise Away("none of its nodes is known to have the key", sent=False)
        return self._map[slot]

    async def _look(self, pause_s: float) -> None:
        try:
            await asyncio.sleep(pause_s)
            found = await self._asked_around()
        finally:
            self._looked_at = time.monotonic()
            self._looking = None
        if found:
            self._learned(found)
            await self._drop_idle(set(found.values()))
        elif not self._map:
            self._seen.refused("none of its nodes answers")

    def _moved(self, slot: int, place: Place) -> None:
        if slot == self._home and self._map.get(slot) != place:
            self._seen.connected()
        self._map[slot] = place
        self.look_again()

    def _learned(self, found: dict[int, Place]) -> None:
        """Another node for what decides counts as a new connection, even where there was one to it before."""
        before, self._map = self._map.get(self._home), found
        if before != found.get(self._home):
            self._seen.connected()

    async def _asked_around(self) -> dict[int, Place]:
        """What the first node says that knows. Empty: nobody does."""
        known = list(dict.fromkeys((*self._map.values(), *self._first)))[:_ASKED_AT_ONCE]
        asking = [asyncio.create_task(self._asked(place)) for place in known]
        try:
            with contextlib.suppress(TimeoutError):
                for answer in asyncio.as_completed(asking, timeout=max(_LOOK_WITHIN_S, 4 * self._deadline_s)):
                    if found := await answer:
                        return found
        finally:
            for each in asking:
                each.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        return {}

    async def _asked(self, place: Place) -> dict[int, Place]:
        try:
            link = await self._dial_to(place)
        except Broken:
            return {}
        try:
            await link.send(_SLOTS)
            answer = await link.read()
        except Broken:
            return {}
        finally:
            await link.close()
        return {} if isinstance(answer, Wrong) else slot_map(answer, place)

    async def _drop_idle(self, masters: set[Place]) -> None:
        for place in [place for place, lane in self._lanes.items() if place not in masters and lane.idle]:
            await self._lanes.pop(place).aclose()


class _NodeSeen:
    """Of one node: whatever goes wrong may mean that another has its keys now."""

    def __init__(self, cluster: Spread, seen: Seen, place: Place) -> None:
        self._cluster = cluster
        self._seen = seen
        self._place = place

    def connected(self) -> None:
        if self._cluster.is_home(self._place):
            self._seen.connected()

    def answered(self) -> None:
        if self._cluster.is_home(self._place):
            self._seen.answered()

    def timed_out(self, reason: str) -> None:
        self._cluster.look_again()
        if self._cluster.is_home(self._place):
            self._seen.timed_out(reason)

    def refused(self, reason: str) -> None:
        self._cluster.look_again()
        if self._cluster.is_home(self._place):
            self._seen.refused(reason)

    def broke(self, reason: str) -> None:
        self._cluster.look_again()
        if self._cluster.is_home(self._place):
            self._seen.broke(reason)
