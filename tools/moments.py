"""A point in a session's history as a caller names it, by version or by time, and which version that is."""

from datetime import UTC
from datetime import datetime
from typing import Annotated

from pydantic import Field

from state.sessions import Sessions
from tools.call import Call
from tools.errors import InvalidArgument

Moment = Annotated[int, Field(ge=0)] | Annotated[str, Field(max_length=40)]
"""A version, also as text, or a time as RFC 3339."""

_MILLISECOND_S = 0.001
_ROUNDED_S = 0.000_000_5


async def version_of(sessions: Sessions, call: Call, handle: str, moment: Moment, *, name: str) -> int:
    """The version the moment means: by time, the newest that was there then.

    A version is taken as it is, whether or not there is one. Raises `InvalidArgument` naming the argument,
    `InvalidValue` for a time before the opening, and `UnknownSession`.
    """
    if isinstance(moment, int):
        return moment
    text = moment.strip()
    if text.isascii() and text.isdigit():
        return int(text)
    return await sessions.histories.version_at(handle, principal=call.principal, at=instant_at(text, name=name))


def instant_at(text: str, *, name: str) -> float:
    """Seconds since 1970; a time without an offset is UTC. Raises `InvalidArgument` naming the argument.

    Answers tell times to the millisecond, so a time that goes no further means the end of its millisecond: an event is
    found by the time it is shown with.
    """
    try:
        told = datetime.fromisoformat(text.upper())
        at = (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as fault:
        raise InvalidArgument(
            f'{name} is "{text}": pass a version, or a time such as "2026-01-31T12:00:00Z"'
        ) from fault
    return at if told.microsecond % 1_000 else at + _MILLISECOND_S - _ROUNDED_S
