"""What a worker does with one call: guard it, run it, explain it, and turn all of that into one frame."""

import json
import threading
import time
import traceback
from typing import Any
from typing import cast

import duckdb

from sources.duckdb import diagnosis
from sources.duckdb.guard import Rejected
from sources.duckdb.guard import Verdict
from sources.duckdb.guard import folded
from sources.duckdb.guard import judge
from sources.duckdb.query import Fault
from sources.duckdb.query import Fetched
from sources.duckdb.query import Window
from sources.duckdb.query import fault_of
from sources.duckdb.query import fetched
from sources.duckdb.query import subquery
from sources.duckdb.wire import Frame

_RELATIONS = "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'memory' AND table_schema = 'main'"


_RUINED = (duckdb.FatalException, duckdb.InternalException, MemoryError)
"""After these the process cannot be trusted to go on."""


class Answering:
    """Answers calls one after the other on one session of a locked connection.

    One session for all: its progress settings cannot be made any more once the connection is locked, and the guard lets
    nothing through that would stay in it.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, cursor: duckdb.DuckDBPyConnection, limits: dict[str, Any]
    ) -> None:
        self._limits = limits
        names = cast("list[tuple[str]]", connection.execute(_RELATIONS).fetchall())
        self._relations = {folded(name): name for (name,) in names}
        self._guarding = connection.cursor()
        self._guarding.execute("SELECT json_serialize_sql('SELECT 1')").fetchall()
        self._turn = threading.Lock()
        self._cursor = cursor
        self._call: object = None
        self._stopped: object = None

    def answer(self, call: Frame) -> tuple[str, bool]:
        """The body of the answering frame, and whether this worker is of no use any more."""
        with self._turn:
            self._call = call["call"]
        try:
            return self._rows(self._cursor, call), False
        except Fault as fault:
            return self._fault(fault, lost=isinstance(fault.__cause__, _RUINED)), isinstance(fault.__cause__, _RUINED)
        except Exception as error:  # noqa: BLE001 - the outermost loop of this process; it is replaced after this
            traceback.print_exc()
            return self._fault(fault_of(error), lost=True), True
        finally:
            with self._turn:
                self._call = None

    def interrupt(self, call: object) -> None:
        with self._turn:
            self._stopped = call
            if self._call == call:
                self._cursor.interrupt()

    def progress(self) -> Frame | None:
        """How far the running call is, 0 to 1; None when the engine cannot tell or nothing runs."""
        with self._turn:
            if self._call is None:
                return None
            if self._stopped == self._call:
                self._cursor.interrupt()
                return None
            share = self._cursor.query_progress()
            return {"call": cast("int", self._call), "progress": min(share, 100.0) / 100} if share >= 0 else None

    def _fault(self, fault: Fault, *, lost: bool) -> str:
        return json.dumps({"call": self._call_number(), "fault": fault.as_json(), "lost": lost})

    def _call_number(self) -> int:
        return cast("int", self._call)

    def _rows(self, cursor: duckdb.DuckDBPyConnection, call: Frame) -> str:
        started = time.monotonic()
        sql = str(call["sql"])
        limits = self._limits
        window = Window(
            limit=cast("int", call["limit"]),
            offset=cast("int", call["offset"]),
            answer_bytes=limits["answer_bytes"],
            cell_chars=limits["cell_chars"],
        )
        if not call["guarded"]:
            parameters = cast("list[Any]", call["parameters"])
            return self._body(fetched(cursor, sql.rstrip("; \n"), parameters, window), None, None)
        verdict = self._judged(sql)
        text = subquery(self._guarding, sql, verdict.tree)
        found = fetched(cursor, text, (), window)
        left_s = cast("float", call["within_s"]) - (time.monotonic() - started)
        why = diagnosis.why(cursor, verdict.tree, found, window.offset, left_s)
        return self._body(found, verdict, why)

    def _judged(self, sql: str) -> Verdict:
        try:
            row = self._guarding.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
            return judge(str(row[0]) if row else "{}", sql, self._relations)
        except Rejected as rejected:
            raise Fault("rejected", str(rejected), rejected.remedy) from rejected
        except UnicodeError as error:
            raise Fault("rejected", "the query is not valid Unicode text", "Remove lone surrogates.") from error
        except duckdb.Error as error:
            raise fault_of(error) from error

    def _body(self, found: Fetched, verdict: Verdict | None, why: str | None) -> str:
        facts = {
            "call": self._call_number(),
            "columns": found.columns,
            "more": found.more,
            "cut": found.cut,
            "took_ms": found.took_ms,
            "bytes": sum(map(len, found.rows)),
            "repeatable": verdict.repeatable if verdict else False,
            "schemas": verdict.schemas if verdict else (),
            "diagnosis": why,
        }
        return f'{json.dumps(facts)[:-1]}, "rows": [{",".join(found.rows)}]}}'
