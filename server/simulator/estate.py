"""What all requests to a simulator share: its accounts, and what it remembers of what was asked."""

from collections import deque
from collections.abc import Callable
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from server.simulator.accounts import Account
from server.simulator.background import Background
from server.simulator.limits import Limits
from server.simulator.limits import Quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A statement that was asked before."""

    accounts: tuple[int, ...]
    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    accounts: Mapping[int, Account]
    limits: Limits
    quota: Quota
    background: Background
    history: deque[Past]
    """Newest first."""
    threads: Executor
    clock: Callable[[], float]
    takes_s: Callable[[str], float]
    """How long a statement would take; told, not spent."""
