"""What a place of state gives to the rest of the server."""

from collections.abc import Callable
from dataclasses import dataclass

from state.changes import Changes
from state.journal import Journal
from state.redis.keys import Keys
from state.redis.wire import Wire
from state.tier import ResultTier


class StateRefused(Exception):
    """The file with the state must not be touched, and the operator has to say what to do; the text says how."""


def _together() -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The journal, who tells of changes, where results are kept, and a word on how it fares."""

    journal: Journal
    notice: Callable[[], str | None]
    """What is wrong with where state is kept, for a person. None: nothing."""
    hint: Callable[[], str | None]
    """As much of that as an assistant should hear beside its answers. None: nothing that these do not say."""
    changes: Changes
    results: ResultTier | None = None
    """Where results are kept beyond the process; closed by the cache before it. None: nowhere."""
    alone: Callable[[], bool] = _together
    """Whether this machine goes on without the place where sessions are shared."""
    wire: Wire | None = None
    """To Redis. None: that is not used."""
    keys: Keys | None = None
    """The names of what lies in it. None, as the wire."""
