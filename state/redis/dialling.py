"""How a connection to the right server is made: the one that the address names, or the one that sentinels name."""

from collections.abc import Awaitable
from collections.abc import Callable
from typing import Any
from typing import cast

from state.redis.address import Address
from state.redis.gathering import Seen
from state.redis.link import Link
from state.redis.link import Raw
from state.redis.link import made
from state.redis.routes import Route
from state.redis.routes import Straight

Dial = Callable[[], Awaitable[Link]]


def route_to(address: Address, seen: Seen, *, lines: int) -> Route:
    """The way to whatever an address names."""
    if address.kind == "single":
        return Straight(_dial_single(address), seen, lines=lines)
    raise ValueError(f"{address.kind} is not there yet")


def dial_by(client: Any) -> Dial:
    """As a client of redis-py would make it."""
    pool = client.connection_pool
    asked = {**pool.connection_kwargs, "protocol": 2, "socket_timeout": None, "decode_responses": False}

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


def _dial_single(address: Address) -> Dial:
    async def dial() -> Link:
        return await opened(made(address, address.places[0] if address.places else None))

    return dial
