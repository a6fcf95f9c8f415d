"""Which statements of a guest may run: exactly one SELECT over known schemas, judged on DuckDB's own parse tree.

Default deny: every kind of node, table reference, expression and table function that is not named here is refused,
because in DuckDB a CTE can write and EXPLAIN ANALYZE executes. The statement type says SELECT for both.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from typing import cast

from sources.duckdb.guard_words import TABLE_FUNCTIONS
from sources.duckdb.guard_words import VOLATILE
from sources.duckdb.guard_words import VOLATILE_COLUMNS
from sources.duckdb.guard_words import VOLATILE_LITERALS
from sources.duckdb.guard_words import denied
from sources.protocol import Json

Node = dict[str, Json]
Scope = frozenset[str]

_QUERIES: Final = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "CTE_NODE", "RECURSIVE_CTE_NODE"})
_RELATIONS: Final = frozenset({"JOIN", "SUBQUERY", "EXPRESSION_LIST", "EMPTY", "PIVOT"})
_PARTS: Final = frozenset(
    {
        "ORDER_MODIFIER",
        "LIMIT_MODIFIER",
        "LIMIT_PERCENT_MODIFIER",
        "DISTINCT_MODIFIER",
        "ORDER_DEFAULT",
        "ASCENDING",
        "DESCENDING",
    }
)
_EXPRESSIONS: Final = frozenset(
    {
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "LAMBDA",
        "LAMBDA_REF",
        "OPERATOR",
        "POSITIONAL_REFERENCE",
        "STAR",
        "SUBQUERY",
        "TYPE",
        "WINDOW",
    }
)
_OWN_CATALOG: Final = frozenset({"memory", "main"})
_READ_ONLY: Final = "Send exactly one read-only query: SELECT, WITH .. SELECT, FROM .., VALUES, DESCRIBE or SUMMARIZE."
_FLATTER: Final = "Write it flatter, for example with CTEs."
_REMEDIES: Final = {
    "pivot": "Use conditional aggregation instead: sum(x) FILTER (WHERE kind = 'a') AS a, ...",
    "explain": "Run the query itself; EXPLAIN is not available.",
    "set": "Settings are fixed; use LIMIT, WHERE or a CAST inside the query instead of SET.",
    "pragma": "Use DESCRIBE <schema> for its attributes, or SHOW TABLES for the schemas.",
    "copy": "Results come back as rows; nothing can be written to a file.",
    "attach": "Only the configured data can be read; it is already attached.",
    "create": "Use a CTE (WITH name AS (SELECT ..) ..) instead of creating something.",
}


class Rejected(Exception):
    """The statement may not run; `remedy` says what to write instead."""

    def __init__(self, reason: str, remedy: str = _READ_ONLY) -> None:
        super().__init__(reason)
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an allowed statement reads, and its tree."""

    schemas: tuple[str, ...]
    repeatable: bool
    tree: Node


def folded(name: str) -> str:
    """A name as DuckDB compares names: only ASCII letters lose their case."""
    return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in name)


def judge(serialized: str, sql: str, relations: Mapping[str, str]) -> Verdict:
    """Judge the answer of json_serialize_sql. `relations`: folded name -> name. Raises `Rejected`."""
    try:
        tree = cast("Node", json.loads(serialized))
        statement = _only_statement(tree, sql)
        walk = _Walk(relations)
        walk.visit(statement, frozenset())
    except RecursionError as error:
        raise Rejected("the query is nested too deeply", _FLATTER) from error
    return Verdict(schemas=tuple(sorted(walk.reads)), repeatable=walk.repeatable, tree=statement)


def _only_statement(tree: Node, sql: str) -> Node:
    if tree.get("error"):
        raise _unparsed(tree, sql)
    statements = cast("list[Node]", tree.get("statements") or [])
    if not statements:
        raise Rejected("the query is empty")
    if len(statements) > 1:
        raise Rejected(f"{len(statements)} statements were sent, one is allowed")
    return statements[0]


def _unparsed(tree: Node, sql: str) -> Rejected:
    message = str(tree.get("error_message") or "it cannot be parsed")
    if "expression depth" in message:
        return Rejected("the query is nested too deeply", _FLATTER)
    if tree.get("error_type") != "not implemented":
        return Rejected(message[:500], "Correct the syntax (DuckDB SQL).")
    words = sql.split(maxsplit=1)
    first = folded(words[0]) if words else ""
    pivots = "pivot" if "pivot" in folded(sql) else ""
    return Rejected("only a single read-only query is allowed", _REMEDIES.get(first, _REMEDIES.get(pivots, _READ_ONLY)))


class _Walk:
    """One walk over a tree, collecting what it reads."""

    def __init__(self, relations: Mapping[str, str]) -> None:
        self._relations = relations
        self.reads: set[str] = set()
        self.repeatable = True

    def visit(self, value: Json, scope: Scope) -> None:
        if isinstance(value, list):
            for item in value:
                self.visit(item, scope)
        elif isinstance(value, dict):
            self._node(value, scope)

    def _node(self, node: Node, scope: Scope) -> None:
        kind = node.get("type")
        if isinstance(node.get("class"), str):
            self._expression(node)
        elif isinstance(kind, str):
            scope = self._shape(kind, node, scope)
        self._sample(node)
        for key, value in node.items():
            if key != "cte_map":
                self.visit(value, scope)

    def _shape(self, kind: str, node: Node, scope: Scope) -> Scope:
        """Judge a part that is no expression; the answer is the scope of what is inside."""
        if kind in _QUERIES:
            return self._ctes(node, scope)
        if kind == "BASE_TABLE":
            self._table(node, scope)
        elif kind == "TABLE_FUNCTION":
            self._table_function(cast("Node", node["function"]))
        elif kind == "SHOW_REF":
            self._shown(node)
        elif kind not in _RELATIONS and kind not in _PARTS and not kind.endswith("_TYPE_INFO"):
            raise Rejected(f"{_spoken(kind)} is not allowed here")
        return scope

    def _ctes(self, node: Node, scope: Scope) -> Scope:
        if isinstance(name := node.get("cte_name"), str):
            scope |= {folded(name)}
        for entry in cast("list[Node]", cast("Node", node.get("cte_map") or {}).get("map") or []):
            self.visit(entry["value"], scope)
            scope |= {folded(str(entry["key"]))}
        return scope

    def _table(self, node: Node, scope: Scope) -> None:
        if node.get("at_clause") is not None:
            raise Rejected("AT (..) is not available", "Read the schema as it is now.")
        path = [str(part) for part in cast("list[Json]", cast("Node", node["qualified_name"])["path"])]
        *qualifiers, name = path
        if not qualifiers and folded(name) in scope:
            return
        self._known(name, qualifiers)

    def _known(self, name: str, qualifiers: list[str]) -> None:
        known = self._relations.get(folded(name))
        if known is not None and all(folded(part) in _OWN_CATALOG for part in qualifiers):
            self.reads.add(known)
            return
        shown = ".".join((*qualifiers, name))[:120]
        raise Rejected(f"there is no schema named {shown!r}", self._nearest(name))

    def _nearest(self, name: str) -> str:
        near = difflib.get_close_matches(folded(name), self._relations, n=3, cutoff=0.5)
        if near:
            return f"Did you mean {', '.join(repr(self._relations[word]) for word in near)}?"
        names = sorted(self._relations.values())[:10]
        return f"The schemas are: {', '.join(repr(known) for known in names)}." if names else "There are no schemas."

    def _table_function(self, function: Node) -> None:
        name = folded(str(function.get("function_name")))
        if name not in TABLE_FUNCTIONS or _qualified(function):
            raise Rejected(
                f"the table function {name[:80]!r} is not allowed",
                f"Read the schemas by name; the table functions are {', '.join(sorted(TABLE_FUNCTIONS))}.",
            )

    def _shown(self, node: Node) -> None:
        if node.get("query") is not None:
            return
        path = [str(part) for part in cast("list[Json]", cast("Node", node["qualified_name"])["path"])]
        if node.get("show_type") == "SHOW_SPECIAL":
            if path != ['"tables"']:
                raise Rejected("only SHOW TABLES is available", "Use SHOW TABLES, or DESCRIBE <schema>.")
            self.repeatable = False
            return
        *qualifiers, name = path
        self._known(name, qualifiers)

    def _expression(self, node: Node) -> None:
        kind = str(node["class"])
        if kind not in _EXPRESSIONS:
            raise Rejected(f"{_spoken(kind)} is not allowed here", "Write the value itself into the query.")
        if kind in {"FUNCTION", "WINDOW"}:
            self._function(node)
        elif kind == "COLUMN_REF":
            names = cast("list[Json]", node.get("column_names") or [])
            self._volatile_if(len(names) == 1 and folded(str(names[0])) in VOLATILE_COLUMNS)
        elif kind == "CONSTANT":
            literal = cast("Node", node.get("literal") or {})
            self._volatile_if(folded(str(literal.get("text"))).strip() in VOLATILE_LITERALS)

    def _function(self, node: Node) -> None:
        name = folded(str(node.get("function_name")))
        if denied(name):
            raise Rejected(f"the function {name[:80]!r} is not allowed", "Use functions of the rows only.")
        arguments = cast("list[Json]", node.get("arguments") or [])
        self._volatile_if(name in VOLATILE or (name == "age" and len(arguments) == 1))

    def _sample(self, node: Node) -> None:
        sample = node.get("sample")
        if isinstance(sample, dict):
            self._volatile_if(not sample.get("repeatable"))

    def _volatile_if(self, volatile: object) -> None:
        if volatile:
            self.repeatable = False


def _qualified(function: Node) -> bool:
    path = cast("list[Json]", cast("Node", function["qualified_name"])["path"])
    return len(path) != 1


def _spoken(kind: str) -> str:
    return kind.removesuffix("_NODE").replace("_", " ").lower()
