"""Sessions in Redis, shared by all instances; a journal of this machine carries on while Redis is away."""

import secrets
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from contextlib import asynccontextmanager
from pathlib import Path

from server.local_store import opened_or_memory
from server.results_store import shared_results
from server.settings import Settings
from server.store import Store
from state.redis.address import parse
from state.redis.changes import RedisChanges
from state.redis.connect import open_wire
from state.redis.identity import identity
from state.redis.journal import RedisJournal
from state.redis.keys import Keys
from state.shared.journal import SharedJournal


@asynccontextmanager
async def open_shared_store(settings: Settings, away: Path) -> AsyncGenerator[Store]:
    """The journal of these settings, closed at the end. It opens whether Redis answers or not.

    `away`: the file with what is written while it does not.

    Raises `StateRefused` when the file for what is written meanwhile must not be touched.
    """
    address = parse(settings.redis_url or "")
    keys = Keys(prefix=address.prefix)
    origin = secrets.token_hex(4)
    async with AsyncExitStack() as stack:
        wire = open_wire(address, pool_size=settings.redis_pool_size, retries=settings.redis_max_retries)
        stack.push_async_callback(wire.aclose)
        local = opened_or_memory(away, settings)
        stack.push_async_callback(local.aclose)
        changes = RedisChanges(wire, keys=keys, origin=origin)
        stack.push_async_callback(changes.aclose)
        remote = RedisJournal(
            wire, keys=keys, clock=time.time, origin=origin, quota=settings.quota, kept_past_s=settings.retention_s
        )
        stack.push_async_callback(remote.aclose)
        journal = SharedJournal(
            remote,
            local.journal,
            wire,
            changes=changes,
            clock=time.time,
            where=f"{socket.gethostname()}/{origin}",
            durable_at=local.durable_at,
            identify=lambda: identity(wire, keys),
        )
        stack.push_async_callback(journal.aclose)

        def notice() -> str | None:
            return journal.notice() or local.notice()

        yield Store(
            journal=journal,
            notice=notice,
            hint=local.notice,
            changes=changes,
            results=shared_results(settings, wire, keys),
            alone=lambda: journal.away,
            wire=wire,
            keys=keys,
        )
