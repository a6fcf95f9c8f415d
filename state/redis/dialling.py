"""How a connection to the right server is made: the one that the address names, or the one that sentinels name."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from typing import cast

from state.redis.address import Address
from state.redis.address import Place
from state.redis.calls import Seen
from state.redis.calls import packed
from state.redis.cluster import Spread
from state.redis.link import Link
from state.redis.link import Raw
from state.redis.link import made
from state.redis.replies import Broken
from state.redis.replies import Wrong
from state.redis.routes import Route
from state.redis.routes import Straight

Dial = Callable[[], Awaitable[Link]]

_OTHERS_WITHIN_S = 0.05
"""How long the other sentinels have after the first one answered: one that was cut off may be wrong."""
_ROLE = packed(("ROLE",))


def route_to(address: Address, seen: Seen, *, home: str, lines: int) -> Route:
    """The way to whatever an address names."""

    async def dial_to(place: Place | None) -> Link:
        return await opened(made(address, place))

    async def dial() -> Link:
        return await dial_to(address.places[0] if address.places else None)

    async def dial_master() -> Link:
        return await _master_among(await _named_masters(address), dial_to)

    if address.kind == "cluster":
        return Spread(dial_to, address.places, seen, home=home, lines=lines, deadline_s=address.deadline_s)
    chosen = dial_master if address.kind == "sentinel" else dial
    return Straight(chosen, seen, lines=lines, deadline_s=address.deadline_s)


def dial_by(client: Any) -> Dial:
    """As a client of redis-py would make it."""
    pool = client.connection_pool
    ours = {"protocol": 2, "socket_timeout": None, "decode_responses": False, "maint_notifications_config": None}
    asked = {**pool.connection_kwargs, **ours}

    async def dial() -> Link:
        return await opened(Link(cast("Raw", pool.connection_class(**asked))))

    return dial


async def opened(link: Link) -> Link:
    """Raises Broken, and then nothing is left open."""
    try:
        await link.open()
    except BaseException:
        await link.close()
        raise
    return link


async def _named_masters(address: Address) -> list[Place]:
    """Whom sentinels name, what most of them say first. Raises Broken when none does."""
    asked = replace(address, database=0, username=address.sentinel_username, password=address.sentinel_password)
    asking = [asyncio.create_task(_named_by(asked, place)) for place in address.places]
    try:
        done, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        while waiting and not any(task.result() for task in done):
            more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        if waiting:
            more, _ = await asyncio.wait(waiting, timeout=_OTHERS_WITHIN_S)
            done |= more
    finally:
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    named = Counter(place for task in done if (place := task.result()))
    if not named:
        raise Broken(f"no sentinel answers that knows {address.service}")
    return [place for place, _ in named.most_common()]


async def _named_by(asked: Address, place: Place) -> Place | None:
    """Whom one sentinel names. None: it does not answer, or does not know."""
    try:
        link = await opened(made(asked, place))
    except Broken:
        return None
    try:
        await link.send(packed(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", asked.service)))
        answer = await link.read()
    except Broken:
        return None
    finally:
        await link.close()
    match answer:
        case [bytes(host), bytes(port)]:
            return host.decode(), int(port)
        case _:
            return None


async def _master_among(named: list[Place], dial_to: Callable[[Place | None], Awaitable[Link]]) -> Link:
    """The first that says so itself: sentinels learn late. Raises Broken."""
    reason = ""
    for place in named:
        try:
            link = await dial_to(place)
        except Broken as broken:
            if broken.final:
                raise
            reason = broken.reason
            continue
        if await _is_master(link):
            return link
        reason = "the server that sentinels name is no master yet"
    raise Broken(reason)


async def _is_master(link: Link) -> bool:
    """Closes it if not. Who may not ask is believed."""
    role: Any = None
    try:
        await link.send(_ROLE)
        role = await link.read()
    finally:
        master = isinstance(role, Wrong) or bool(role and role[0] == b"master")
        if not master:
            await link.close()
    return master
