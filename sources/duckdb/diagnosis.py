"""Why a guest's query gave no rows, measured: which part of its WHERE no row passes, and what values there are.

Works on DuckDB's own parse tree, so what is counted is exactly what was written.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Final
from typing import cast

import duckdb

from sources.duckdb.guard import Node
from sources.duckdb.query import Fetched
from sources.duckdb.values import Converter

if TYPE_CHECKING:
    from sources.protocol import Json

CONJUNCTS: Final = 8
BUDGET_S: Final = 2.0
_LEAST_S: Final = 0.05
_NEAREST: Final = 5
_SHOWN_CHARS: Final = 120
_QUOTED: Final = "'"
_SAFE_TABLES: Final = frozenset({"BASE_TABLE", "JOIN", "SUBQUERY"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """When measuring has to end, on the clock of `time.monotonic`."""

    deadline_at: float
    clock: Callable[[], float] = time.monotonic

    @property
    def spent(self) -> bool:
        return self.clock() >= self.deadline_at


def why(cursor: duckdb.DuckDBPyConnection, tree: Node, found: Fetched, offset: int, left_s: float) -> str | None:
    """One sentence or two, or None when there is nothing to explain or nothing measured helps.

    Runs at most `CONJUNCTS` + 3 queries, and is interrupted after `left_s` or two seconds, whichever is less.
    """
    node = _plain_select(tree)
    if node is None or not _suspicious(found):
        return None
    within_s = min(BUDGET_S, left_s - _LEAST_S)
    if within_s <= 0:
        return None
    alarm = threading.Timer(within_s, cursor.interrupt)
    alarm.start()
    try:
        return _explained(cursor, node, Budget(deadline_at=time.monotonic() + within_s), offset=offset)
    except duckdb.Error:
        return None  # an explanation that cannot be measured is not given; the rows are right without it
    finally:
        alarm.cancel()


def _plain_select(tree: Node) -> Node | None:
    """The SELECT with a WHERE at the top, when its FROM can be counted by itself."""
    node = cast("Node", tree["node"])
    source = node.get("from_table")
    if node.get("type") != "SELECT_NODE" or not isinstance(source, dict) or source.get("type") not in _SAFE_TABLES:
        return None
    return node


def _suspicious(found: Fetched) -> bool:
    """No row at all, or the single row of zeros and nulls that aggregates give for no rows."""
    if len(found.rows) != 1:
        return not found.rows
    cells = cast("list[Json]", json.loads(found.rows[0]))
    return 0 in [cell for cell in cells if cell is not None] and all(cell in (None, 0) for cell in cells)


def _explained(cursor: duckdb.DuckDBPyConnection, node: Node, budget: Budget, *, offset: int) -> str | None:
    total = _count(cursor, node, None, budget)
    if total is None:
        return None
    if total == 0:
        return "There are no rows even without WHERE."
    where = node.get("where_clause")
    if not isinstance(where, dict):
        return _behind(total, offset)
    passing = _count(cursor, node, where, budget)
    if passing is None:
        return None
    if passing:
        return f"{passing:,} of {total:,} rows pass the WHERE; {_later(node, offset)}"
    return _blamed(cursor, node, _conjuncts(where), total, budget)


def _behind(total: int, offset: int) -> str | None:
    return f"The query reads {total:,} rows; nothing is left behind offset {offset}." if offset else None


def _later(node: Node, offset: int) -> str:
    if offset:
        return f"nothing is left behind offset {offset}."
    for key, name in (("having", "HAVING"), ("qualify", "QUALIFY")):
        if node.get(key) is not None:
            return f"{name} removes the rest."
    return "what follows it (LIMIT, OFFSET or the aggregates) gives this result."


def _blamed(
    cursor: duckdb.DuckDBPyConnection, node: Node, conjuncts: list[Node], total: int, budget: Budget
) -> str | None:
    counts: list[tuple[str, int]] = []
    for conjunct in conjuncts[:CONJUNCTS]:
        rows = _count(cursor, node, conjunct, budget)
        if rows is None:
            break
        text = _text(cursor, conjunct)
        if rows == 0:
            alone = f"No row passes: `{text}` alone removes all {total:,} rows"
            near = _nearest(cursor, node, conjunct, budget)
            return f"{alone}; nearest values: {near}." if near else f"{alone}."
        counts.append((text, rows))
    shown = ", ".join(f"`{text}` keeps {rows:,}" for text, rows in counts)
    return f"No row passes all conditions together; alone, of {total:,} rows: {shown}."


def _conjuncts(where: Node) -> list[Node]:
    if where.get("type") != "CONJUNCTION_AND":
        return [where]
    children = cast("list[Node]", where["children"])
    return [conjunct for child in children for conjunct in _conjuncts(child)]


def _count(cursor: duckdb.DuckDBPyConnection, node: Node, where: Node | None, budget: Budget) -> int | None:
    """Rows of the FROM that pass; None when the time is over."""
    row = _first(cursor, _counting(node, where), budget)
    return int(str(row[0])) if row else None


def _counting(node: Node, where: Node | None) -> Node:
    plain: Node = {"having": None, "qualify": None, "modifiers": [], "group_expressions": [], "group_sets": []}
    return {**node, **plain, "where_clause": where, "select_list": [_COUNT]}


def _nearest(cursor: duckdb.DuckDBPyConnection, node: Node, conjunct: Node, budget: Budget) -> str | None:
    """For `column = 'text'`: the values of that column that look most like the text."""
    if conjunct.get("type") != "COMPARE_EQUAL":
        return None
    sides = [cast("Node", conjunct["left"]), cast("Node", conjunct["right"])]
    column = next((side for side in sides if side.get("class") == "COLUMN_REF"), None)
    literal = next((side for side in sides if side.get("class") == "CONSTANT"), None)
    if column is None or literal is None or cast("Node", literal["literal"]).get("kind") != "STRING":
        return None
    source = _sql(cursor, {**_counting(node, None), "select_list": [{**column, "alias": "near"}]})
    wanted = str(cast("Node", literal["literal"])["text"])
    found = _rows(cursor, _NEAREST_SQL.format(source=source), [wanted, wanted], budget)
    shown = Converter(_SHOWN_CHARS)
    return ", ".join(f"{_QUOTED}{shown.text(str(row[0]))}{_QUOTED}" for row in found) or None


_NEAREST_SQL: Final = """
SELECT near FROM (SELECT DISTINCT near::VARCHAR AS near FROM (SELECT near FROM ({source}) LIMIT 1000000))
WHERE near IS NOT NULL
ORDER BY lower(trim(near)) = lower(trim(?)) DESC, jaro_winkler_similarity(lower(near), lower(?)) DESC, near
LIMIT 5
"""
_COUNT: Final[Node] = {
    "class": "FUNCTION",
    "type": "FUNCTION",
    "alias": "",
    "function_name": "count_star",
    "schema": "",
    "filter": None,
    "order_bys": {"type": "ORDER_MODIFIER", "orders": []},
    "distinct": False,
    "is_operator": False,
    "export_state": False,
    "catalog": "",
    "arguments": [],
    "qualified_name": {"path": ["count_star"]},
}


def _text(cursor: duckdb.DuckDBPyConnection, expression: Node) -> str:
    """An expression as SQL, without the outer parentheses that the engine writes."""
    text = _sql(cursor, {**_EMPTY, "select_list": [{**expression, "alias": ""}]}).removeprefix("SELECT ").strip()
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    return Converter(_SHOWN_CHARS).text(text)


_EMPTY: Final[Node] = {
    "type": "SELECT_NODE",
    "modifiers": [],
    "cte_map": {"map": []},
    "from_table": {"type": "EMPTY", "alias": "", "sample": None},
    "where_clause": None,
    "group_expressions": [],
    "group_sets": [],
    "aggregate_handling": "STANDARD_HANDLING",
    "having": None,
    "sample": None,
    "qualify": None,
}


def _sql(cursor: duckdb.DuckDBPyConnection, node: Node) -> str:
    statement: Node = {"error": False, "statements": [{"node": node, "named_param_map": []}]}
    row = cursor.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(statement)]).fetchone()
    return str(row[0]) if row else ""


def _first(cursor: duckdb.DuckDBPyConnection, node: Node, budget: Budget) -> tuple[object, ...] | None:
    rows = _rows(cursor, _sql(cursor, node), [], budget)
    return rows[0] if rows else None


def _rows(cursor: duckdb.DuckDBPyConnection, sql: str, bound: list[str], budget: Budget) -> list[tuple[object, ...]]:
    if budget.spent:
        return []
    return cast("list[tuple[object, ...]]", cursor.execute(sql, bound).fetchall())
