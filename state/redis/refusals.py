"""What is told when Redis answers with an error, or lacks what it should have: what is wrong, and what to do."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from state.errors import StateBusy
from state.errors import StateError
from state.errors import StateUnavailable
from state.redis.wire import Refused

_SHOWN_CHARS: Final = 200
_REASONS: Final = (
    (
        ("OOM ", "maxmemory"),
        "Redis has reached its maxmemory: what is remembered cannot be changed. Raise maxmemory, or close sessions.",
    ),
    (
        ("NOPERM", "NOAUTH", "WRONGPASS", "ACL failure", "can't run this command"),
        "Redis does not permit what is needed: check the user and password in REDIS_URL, and what its ACL allows.",
    ),
    (
        ("MISCONF",),
        "Redis refuses writes because it cannot save to disk: see its log and its disk.",
    ),
    (
        ("NOREPLICAS",),
        "Redis refuses writes because too few replicas are connected (min-replicas-to-write).",
    ),
    (
        ("WRONGTYPE",),
        "Something else uses the names that state has in this Redis: set another prefix in REDIS_URL (?prefix=...).",
    ),
)
LOST: Final = (
    "Redis has dropped a part of this session that should be there. Set its maxmemory-policy to noeviction, "
    "and open another session."
)
DAMAGED: Final = "A session in Redis is not as it was written: {fault} Open another session; this one can't be trusted."


@contextmanager
def explained() -> Generator[None]:
    """Errors that Redis answered with become such that say what to do."""
    try:
        yield
    except Refused as refused:
        raise _explanation(str(refused)) from refused


def _explanation(text: str) -> StateError:
    if "non local key" in text:
        return StateBusy("Redis is moving sessions from one node to another")
    for words, reason in _REASONS:
        if any(word in text for word in words):
            return StateUnavailable(reason)
    return StateUnavailable(f"Redis refused a request of ours ({text[:_SHOWN_CHARS]!r}): see the server's log.")
