"""`RedisResults`: a tier that instances on many machines share. One of them loads, the others wait for it, for a while.

A look is one round trip: the result or a lease from the node that has it, and beside it what was declared outdated
since last asked. Each result carries the position under which its load began; so declaring something outdated costs
the same however many results there are, and a result that is stored too late is served by nobody.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Awaitable
from collections.abc import Callable
from functools import partial
from typing import Final
from typing import TypeVar

from state.changes import ResultsOutdated
from state.counting import Counts
from state.packing import Packed
from state.packing import pack
from state.redis import results_scripts as scripts
from state.redis.keys import Keys
from state.redis.results_news import Declared
from state.redis.results_reply import Reply
from state.redis.results_reply import reply
from state.redis.wire import Away
from state.redis.wire import Refused
from state.redis.wire import Wire
from state.tier import LIFE_S
from state.tier import Fresh
from state.tier import Kept
from state.tier import Look
from state.tier import Permit
from state.tier import TierStatistics
from state.tier import Wanted

_log = logging.getLogger(__name__)
V = TypeVar("V")

LEASE_S: Final = 5.0
"""How soon somebody else may load, when the one who does is gone; whoever still loads renews it."""
PATIENCE_S: Final = 10.0
"""How long a load of another instance is waited for, before it is loaded here as well."""
_PRIVATE_MS: Final = 60_000
_PAUSE_S: Final = 0.01
_PAUSE_MOST_S: Final = 0.1
_WAITING_MOST: Final = 64
"""Results that wait to be stored; more are dropped."""
_LARGEST_BYTES: Final = 4 * 2**20
_UNWANTED_MOST: Final = 4
"""Results that one look refuses, before it is a miss."""
_CLOSING_S: Final = 0.2


class RedisResults:
    """A `ResultTier` for one event loop. While Redis is away each look is a miss, at once."""

    def __init__(
        self,
        wire: Wire,
        *,
        keys: Keys | None = None,
        fresh_s: float = LIFE_S,
        life_s: float = LIFE_S,
        lease_s: float = LEASE_S,
        patience_s: float = PATIENCE_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`wire`: closed by whoever opened it. `fresh_s`: an older result is served only while a new one is loaded.

        `life_s`: an older one is never served.
        """
        self._wire = wire
        self._keys = keys or Keys()
        self._fresh_ms = round(fresh_s * 1000)
        self._life_ms = round(life_s * 1000)
        self._lease_s = lease_s
        self._patience_s = patience_s
        self._sleep = sleep
        self._declared = Declared(wire, self._keys)
        self._leases: dict[str, str] = {}
        """Of the loads under way here: the keys of their results."""
        self._renewing: asyncio.Task[None] | None = None
        self._behind: set[asyncio.Task[None]] = set()
        self._storing = 0
        self._counts = Counts()
        self._refusals: set[str] = set()
        self._closed = False
        wire.watch(self._moved)

    async def look(self, wanted: Wanted, decode: Callable[[bytes], V]) -> Look[V]:
        if self._closed or not self._wire.up:
            return self._counts.looked(Look())
        try:
            return self._counts.looked(await self._looked(wanted, decode))
        except (Away, Refused) as fault:
            self._failed(fault)
            return self._counts.looked(Look())

    def keep(self, permit: Permit, fresh: Fresh) -> None:
        if self._closed:
            return
        if self._storing >= _WAITING_MOST:
            self._counts.dropped += 1
            self.forgo(permit)
            return
        self._storing += 1
        self._soon(partial(self._store, permit, fresh))

    def forgo(self, permit: Permit, *, private: bool = False) -> None:
        if not self._closed:
            self._soon(partial(self._release, permit, private=private))

    def outdate(self, change: ResultsOutdated) -> None:
        if not self._closed:
            self._declared.owe(change)
            self._soon(self._declared.pay)

    async def settled(self) -> None:
        while self._behind:
            await asyncio.wait(self._behind)

    def statistics(self) -> TierStatistics:
        return self._counts.statistics()

    async def aclose(self) -> None:
        """Waits a moment for leases to be given back; others that wait for them would do so in vain."""
        self._closed = True
        tasks = {*self._behind, *([] if self._renewing is None else [self._renewing])}
        if self._behind:
            await asyncio.wait(self._behind, timeout=_CLOSING_S)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _looked(self, wanted: Wanted, decode: Callable[[bytes], V]) -> Look[V]:
        key, lease, unwanted = self._key(wanted), secrets.token_hex(8), ""
        refused, waited_s, pause_s = 0, 0.0, _PAUSE_S
        while refused < _UNWANTED_MOST and waited_s < self._patience_s:
            await self._declared.pay()
            answer = await self._asked(key, lease, unwanted)
            if answer.value is not None:
                kept = await self._kept(answer, decode)
                if kept is not None:
                    return Look(kept=kept)
                unwanted, refused = answer.by, refused + 1
            elif answer.kind == scripts.LEASED:
                return Look(permit=self._leased(wanted, lease, key))
            elif answer.kind == scripts.PRIVATE:
                return Look()
            else:
                await self._sleep(pause_s)
                waited_s, pause_s = waited_s + pause_s, min(pause_s * 1.5, _PAUSE_MOST_S)
        return Look()

    async def _asked(self, key: str, lease: str, unwanted: str) -> Reply:
        """What there is of the result, once more if more was declared outdated than the lease knows of."""
        before = self._declared.number
        answer, _ = await asyncio.gather(self._look(key, lease, unwanted), self._declared.hear())
        if answer.value is None and self._declared.number != before:
            return await self._look(key, lease, unwanted)
        return answer

    async def _look(self, key: str, lease: str, unwanted: str) -> Reply:
        arguments = (lease, self._declared.number, unwanted, round(self._lease_s * 1000), self._fresh_ms)
        return reply(await self._wire.run(scripts.LOOK, [key], arguments, again=True))

    async def _kept(self, answer: Reply, decode: Callable[[bytes], V]) -> Kept[V] | None:
        """None: it must not be served, or cannot be read."""
        try:
            packed = answer.packed()
            value = decode(packed.body)
        except ValueError:
            self._counts.unreadable += 1
            return None
        if await self._declared.outdates(packed.under, packed.tags):
            return None
        return Kept(
            value=value,
            age_s=answer.age_s,
            size_bytes=packed.size_bytes,
            tags=packed.tags,
            stale=answer.kind == scripts.WAIT,
        )

    def _leased(self, wanted: Wanted, lease: str, key: str) -> Permit:
        self._leases[lease] = key
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.get_running_loop().create_task(self._renew())
        return Permit(wanted=wanted, under=self._declared.position, lease=lease)

    async def _renew(self) -> None:
        while self._leases:
            await self._sleep(self._lease_s / 3)
            for lease, key in tuple(self._leases.items()):
                try:
                    await self._wire.run(scripts.RENEW, [key], (lease, round(self._lease_s * 1000)), again=True)
                except (Away, Refused):  # it lapses, and what is loaded here is not stored
                    continue

    async def _store(self, permit: Permit, fresh: Fresh) -> None:
        try:
            value = self._packed(permit, fresh)
            await self._declared.pay()
            await self._declared.hear()
            if value is None or await self._declared.outdates(permit.under, fresh.tags):
                self._counts.refused += value is not None
                self._counts.dropped += value is None
                await self._release(permit, private=False)
                return
            arguments = (permit.lease, value, round(fresh.age_s * 1000), self._life_ms)
            kept = await self._wire.run(scripts.KEEP, [self._key(permit.wanted)], arguments, again=True)
            self._counts.stored += bool(kept)
            self._counts.refused += not kept
        finally:
            self._storing -= 1
            self._leases.pop(permit.lease, None)

    def _packed(self, permit: Permit, fresh: Fresh) -> bytes | None:
        """None: it cannot be written as bytes, or not as few as are kept."""
        try:
            body = fresh.encode()
            value = pack(Packed(body=body, tags=fresh.tags, size_bytes=fresh.size_bytes, under=permit.under))
        except ValueError:
            return None
        return value if len(value) <= _LARGEST_BYTES else None

    async def _release(self, permit: Permit, *, private: bool) -> None:
        self._leases.pop(permit.lease, None)
        arguments = (permit.lease, _PRIVATE_MS if private else 0)
        await self._wire.run(scripts.RELEASE, [self._key(permit.wanted)], arguments, again=True)

    def _key(self, wanted: Wanted) -> str:
        """Machines may hold other files under the same paths: each has results of its own fingerprints."""
        return self._keys.result(hashlib.sha256(f"{wanted.digest} {wanted.fingerprint}".encode()).hexdigest())

    def _moved(self, up: bool, _why: str) -> None:  # noqa: FBT001 - as the wire tells it
        if up and not self._closed:
            self._soon(self._declared.pay)

    def _soon(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._tried(work))
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def _tried(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (Away, Refused) as fault:
            self._failed(fault)

    def _failed(self, fault: Away | Refused) -> None:
        self._counts.errors += 1
        if isinstance(fault, Refused) and fault.code not in self._refusals:
            self._refusals.add(fault.code)
            _log.warning("Redis refuses to share results, which are measured by each instance for itself: %s", fault)
