"""Who answers at the other end of a wire, and since when it remembers."""

from state.errors import StateUnavailable
from state.redis.keys import Keys
from state.redis.looking import look
from state.redis.wire import Refused
from state.redis.wire import Wire
from state.shared.places import Identity


async def identity(wire: Wire, keys: Keys) -> Identity:
    """Raises `Away`, and `StateUnavailable` when Redis does not permit to ask."""
    try:
        picture = await look(wire, keys, None)
    except Refused as refused:
        raise StateUnavailable(f"Redis does not tell who it is: {refused}") from refused
    return Identity(epoch=picture.epoch, server=picture.server, age_s=picture.epoch_age_s)
