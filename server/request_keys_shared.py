"""Keeps the keys of one instance's ring the same as those of all instances that share a Redis.

They are read at start, each time Redis comes back, and every ten seconds; until then, and while Redis is away, the
instance seals with keys of its own. To change them for all, delete their name in Redis: what was sealed before stays
good.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from server.request_keys import KeyRing
from server.request_keys import shared_keys
from state.redis.keys import Keys
from state.redis.wire import Away
from state.redis.wire import Refused
from state.redis.wire import Wire

_log = logging.getLogger(__name__)

_EVERY_S = 10.0


@asynccontextmanager
async def kept_shared(
    ring: KeyRing, wire: Wire | None, keys: Keys | None, *, every_s: float = _EVERY_S
) -> AsyncGenerator[None]:
    """While the body runs, and at its beginning if Redis answers; without a wire there is nothing to share."""
    if wire is None or keys is None:
        yield
        return
    await _read(ring, wire, keys)
    following = asyncio.create_task(_follow(ring, wire, keys, every_s))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait([following])


async def _follow(ring: KeyRing, wire: Wire, keys: Keys, every_s: float) -> None:
    back = asyncio.Event()

    def told(up: bool, _why: str) -> None:  # noqa: FBT001 - as the wire tells it
        if up:
            back.set()

    wire.watch(told)
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(back.wait(), every_s)
        back.clear()
        await _read(ring, wire, keys)


async def _read(ring: KeyRing, wire: Wire, keys: Keys) -> None:
    try:
        ring.use(await shared_keys(wire, keys))
    except Away:
        return  # the store says so where people look
    except Refused as fault:
        _log.warning("calls of several rounds can be finished by this instance only: Redis refuses: %s", fault)
