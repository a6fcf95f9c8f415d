"""Which measurements this process has answered in which session, so that no step is offered that was just taken."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

_KEPT: Final = 10_000


class Answered:
    """What a session's events do not tell: which profiles and queries it has had. Bounded; the oldest is forgotten.

    Another process, or this one after a restart, may offer such a step once more, until a finding tells its result.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, None] = OrderedDict()

    def note(self, session: str | None, *what: Hashable) -> None:
        """Without a session nothing is kept."""
        if session is None:
            return
        self._known[session, what] = None
        self._known.move_to_end((session, what))
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def knows(self, session: str, *what: Hashable) -> bool:
        return (session, what) in self._known
