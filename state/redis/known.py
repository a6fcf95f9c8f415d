"""What this instance remembers of the heads it has seen, so that a write need not ask for the link it goes on from."""

from collections import OrderedDict
from dataclasses import dataclass
from dataclasses import replace
from typing import Final

from state.chain import Link
from state.journal import Head

_MOST: Final = 10_000
"""Sessions, some 5 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    head: Head
    link: bytes
    expires_at: float
    """As last heard of."""


class Known:
    """The sessions seen last."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, Seen] = OrderedDict()

    def put(self, session_id: str, seen: Seen) -> None:
        self._seen[session_id] = seen
        self._seen.move_to_end(session_id)
        if len(self._seen) > _MOST:
            self._seen.popitem(last=False)

    def drop(self, session_id: str) -> None:
        self._seen.pop(session_id, None)

    def link_at(self, session_id: str, head: Head) -> Link | None:
        """None: not known, or the history has gone on."""
        seen = self._seen.get(session_id)
        return None if seen is None or seen.head != head else Link(version=head.version, link=seen.link)

    def end_of(self, session_id: str) -> float | None:
        """When the session ends, as far as is known."""
        seen = self._seen.get(session_id)
        return None if seen is None else seen.expires_at

    def touch(self, session_id: str, expires_at: float) -> None:
        """It ends at another time, if it is known at all."""
        seen = self._seen.get(session_id)
        if seen is not None:
            self._seen[session_id] = replace(seen, expires_at=expires_at)
