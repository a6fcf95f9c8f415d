"""One load by way of the shared tier: found there, or loaded and stored there behind the answer."""

from collections.abc import Awaitable
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from state.flights import Flight
from state.results import Loaded
from state.tier import Codec
from state.tier import Fresh
from state.tier import ResultTier
from state.tier import Wanted

V = TypeVar("V")


async def through(
    tier: ResultTier,
    wanted: Wanted,
    codec: Codec[V],
    flight: Flight,
    load: Callable[[], Awaitable[Loaded[V]]],
    clock: Callable[[], float],
) -> Loaded[V]:
    """What the tier has, unless that was declared outdated on its way here, or else what `load` gives.

    A stale value is answered and not kept, so that the next one who asks finds the new one. Raises what `load` raises.
    """
    look = await tier.look(wanted, codec.decode)
    kept, permit = look.kept, look.permit
    if kept is not None and not flight.invalidated.covers(flight.key, kept.tags):
        return Loaded(
            value=kept.value,
            size_bytes=kept.size_bytes,
            tags=kept.tags,
            cacheable=not kept.stale,
            shared_age_s=kept.age_s,
        )
    began_at = clock()
    if permit is None:
        return await load()
    try:
        loaded = await load()
    except BaseException:
        tier.forgo(permit)
        raise
    if not loaded.cacheable or flight.invalidated.covers(flight.key, loaded.tags):
        tier.forgo(permit, private=not loaded.cacheable)
        return loaded
    encode = partial(codec.encode, loaded.value)
    age_s = clock() - began_at
    tier.keep(permit, Fresh(encode=encode, age_s=age_s, size_bytes=loaded.size_bytes, tags=loaded.tags))
    return loaded
