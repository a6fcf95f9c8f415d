"""NRDB in this process: NRQL over files or tables, answered in NerdGraph's shapes. What the simulator stands on.

Rows are read once, into memory, and lie in time as NRDB would have them: the newest is of now, unless told otherwise.
"""

import threading
import time
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Final

import duckdb

from sources.nrdb.answer import container
from sources.nrdb.events import Column
from sources.nrdb.local_rows import loaded
from sources.nrdb.local_rows import views_of
from sources.nrdb.plan import Plan
from sources.nrdb.plan import Row
from sources.nrdb.refused import NotTranslated
from sources.nrdb.translate import translate
from sources.nrql.parse import parse

HOUR_MS: Final = 3_600_000
"""Source: docs.newrelic.com, NRQL reference: SINCE is 1 hour ago by default."""


class LocalNrdb:
    """Thread-safe: each statement runs on a cursor of its own."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        tables: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
        fit: bool = True,
        approximate: bool = True,
    ) -> None:
        """`folder`: data files, as the source of files reads them. `tables`: event types by name, each a SELECT.

        `fit`: shift all instants by one span, so that the newest row of all is of now, and spread rows without a time
        over the last day. `approximate`: count distinct values as NRDB does. Raises `ValueError` for unreadable rows.
        """
        self._clock = clock
        self._is_approximate = approximate
        self._turn = threading.Lock()
        self._connection = duckdb.connect(":memory:", config={"temp_directory": ""})
        try:
            views = views_of(self._connection, folder, tables or {})
            self._events = loaded(self._connection, views, now_ms=self._now_ms(), fit=fit)
        except BaseException:
            self._connection.close()
            raise

    def run(self, text: str) -> dict[str, Any]:
        """The container of a statement's answer. Unknown event types and attributes hold nothing, as in NRDB.

        Raises `NrqlError` for what is no NRQL, and `NotTranslated` for what this engine would not answer as NRDB does.
        """
        began_at = time.perf_counter()
        plan = translate(
            parse(text),
            self._events,
            now_ms=self._now_ms(),
            default_ms=HOUR_MS,
            is_approximate=self._is_approximate,
        )
        rows = self._rows(plan)
        return container(plan, rows, took_ms=(time.perf_counter() - began_at) * 1000) | {"nrql": text}

    def event_types(self) -> tuple[str, ...]:
        """All there are, sorted."""
        return tuple(sorted(self._events))

    def keyset(self, event_type: str) -> tuple[Column, ...]:
        """The attributes of an event type, those without values included; none for an unknown one."""
        found = self._events.get(event_type)
        return () if found is None else found.columns

    def close(self) -> None:
        """Give the memory back. Nothing may run any more."""
        self._connection.close()

    def _rows(self, plan: Plan) -> dict[str, list[Row]]:
        with self._turn:
            cursor = self._connection.cursor()
        try:
            return {
                step.name: list(step.known) if step.known is not None else cursor.execute(step.sql).fetchall()
                for step in plan.steps
            }
        except duckdb.Error as fault:
            reason = str(fault).partition("\n")[0][:300]
            raise NotTranslated(f"the local engine could not run it: {reason}") from fault
        finally:
            cursor.close()

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
