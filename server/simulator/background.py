"""Statements that go on after their request was answered: when they are done, and until when that can be asked.

Source: docs.newrelic.com, "NerdGraph tutorial: Run NRQL queries asynchronously".
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import Final

LONGEST_S: Final = 600.0
"""A statement in the background may take ten minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What the client is told to keep to, in seconds."""

    retry_after_s: int = 1
    retry_deadline_s: int = 60
    result_expiration_s: int = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    accounts: tuple[int, ...]
    text: str
    began_s: float
    ready_s: float
    looked_s: float


class Background:
    """All statements that were begun and not forgotten."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._pending: dict[str, Pending] = {}

    def begin(self, accounts: tuple[int, ...], text: str, takes_s: float, now_s: float) -> Mapping[str, Any]:
        """The progress of a statement that begins now."""
        query_id = secrets.token_hex(12)
        self._pending[query_id] = Pending(
            accounts=accounts, text=text, began_s=now_s, ready_s=now_s + takes_s, looked_s=now_s
        )
        return self._progress(query_id, completed=False)

    def look(self, query_id: str, accounts: tuple[int, ...], now_s: float) -> tuple[Pending, Mapping[str, Any]] | str:
        """The statement and its progress; a text when there is none to be had, and why."""
        pending = self._pending.get(query_id)
        if pending is None or pending.accounts != accounts:
            return f"No query {query_id} of this account is known"
        if self._is_over(pending, now_s):
            del self._pending[query_id]
            return f"Query {query_id} was cancelled or its results have expired"
        self._pending[query_id] = replace(pending, looked_s=now_s)
        return pending, self._progress(query_id, completed=now_s >= pending.ready_s)

    def _is_over(self, pending: Pending, now_s: float) -> bool:
        if now_s >= pending.ready_s + self._pace.result_expiration_s:
            return True
        return now_s < pending.ready_s and now_s > pending.looked_s + self._pace.retry_deadline_s

    def _progress(self, query_id: str, *, completed: bool) -> Mapping[str, Any]:
        return {
            "completed": completed,
            "queryId": query_id,
            "retryAfter": None if completed else self._pace.retry_after_s,
            "retryDeadline": None if completed else self._pace.retry_deadline_s,
            "resultExpiration": self._pace.result_expiration_s,
        }
