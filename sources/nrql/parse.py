"""Reads an NRQL statement: its clauses, in whatever order they come, each of them once."""

from collections.abc import Callable
from typing import Any
from typing import Final
from typing import NoReturn

from sources.nrql.errors import NrqlError
from sources.nrql.expressions import alias
from sources.nrql.expressions import call
from sources.nrql.expressions import duration
from sources.nrql.expressions import expression
from sources.nrql.expressions import name
from sources.nrql.expressions import quantity
from sources.nrql.moments_parse import ago
from sources.nrql.moments_parse import moment
from sources.nrql.moments_parse import timeseries
from sources.nrql.slips import refused_beginning
from sources.nrql.slips import unexpected
from sources.nrql.tokens import END
from sources.nrql.tokens import NUMBER
from sources.nrql.tokens import QUOTED
from sources.nrql.tokens import TEXT
from sources.nrql.tokens import WORD
from sources.nrql.tokens import Cursor
from sources.nrql.tokens import unquoted
from sources.nrql.tree import Call
from sources.nrql.tree import Facet
from sources.nrql.tree import Join
from sources.nrql.tree import Limit
from sources.nrql.tree import Moment
from sources.nrql.tree import Name
from sources.nrql.tree import Nested
from sources.nrql.tree import Order
from sources.nrql.tree import Query
from sources.nrql.tree import Selected
from sources.nrql.tree import Show
from sources.nrql.tree import Statement
from sources.nrql.walk import checked_height

_MANY_OPERATORS: Final = 80
"""Statements with fewer cannot be too high: the rest of their height is bounded while they are read."""
_ROWS_DIGITS: Final = 9
_SHOWN_WORDS: Final = 6


def parse(text: str) -> Statement:
    """The one statement that `text` holds. Raises: NrqlError, for everything that is not one that reads."""
    cursor = Cursor(text, _nested)
    if cursor.words[0] == "show":
        made = _show(cursor)
    elif cursor.words[0] in {"select", "from", "with"}:
        made = _query(cursor)
    else:
        refused_beginning(cursor)
    while cursor.words[cursor.at] == ";":
        cursor.at += 1
    if cursor.kinds[cursor.at] != END:
        unexpected(cursor)
    if cursor.operators > _MANY_OPERATORS and isinstance(made, Query):
        checked_height(made)
    return made


def _query(cursor: Cursor) -> Query:
    start = cursor.at
    draft: dict[str, Any] = {}
    words = cursor.words
    while (clause := _CLAUSES.get(words[cursor.at])) is not None:
        key, read = clause
        if key in draft:
            _twice(cursor, key)
        cursor.at += 1
        draft[key] = read(cursor)
        if key == "sources" and words[cursor.at] in _BESIDE_SOURCES:
            _beside_sources(cursor, draft)
        elif key == "with":
            _unfold(cursor, draft)
    if "select" not in draft or "sources" not in draft:
        _incomplete(cursor, "SELECT" if "select" not in draft else "FROM")
    if "facet" in draft and "order_by" in draft:
        _order_beside_facet(cursor, start)
    draft["span"] = cursor.since(start)
    return Query(**draft)


def _nested(cursor: Cursor) -> Nested:
    """A statement in parentheses, which the cursor stands before."""
    start = cursor.at
    cursor.at += 1
    cursor.deeper()
    query = _query(cursor)
    cursor.depth -= 1
    if not cursor.took(")"):
        unexpected(cursor)
    return Nested(query=query, span=cursor.since(start))


def _unfold(cursor: Cursor, draft: dict[str, Any]) -> None:
    """Give what WITH turned out to hold its own place."""
    for found, value in draft.pop("with").items():
        if found in draft:
            _twice(cursor, found)
        draft[found] = value


def _twice(cursor: Cursor, key: str) -> NoReturn:
    clause = {"sources": "FROM", "variables": "WITH", "order_by": "ORDER BY"}.get(key, key.upper().replace("_", " "))
    remedy = "join the conditions with AND" if key == "where" else f"keep one {clause}, with commas where it is a list"
    raise NrqlError(f"{clause} stands here for the second time", cursor.position, remedy)


def _incomplete(cursor: Cursor, clause: str) -> NoReturn:
    if cursor.kind != END and cursor.word != ";" and not (cursor.word == ")" and cursor.depth):
        unexpected(cursor)
    remedy = "add FROM and an event type" if clause == "FROM" else "add SELECT, for example SELECT count(*)"
    raise NrqlError(f"{clause} is missing", cursor.position, remedy)


def _order_beside_facet(cursor: Cursor, start: int) -> NoReturn:
    place = next(at for at in range(start, cursor.at) if cursor.words[at] == "order")
    remedy = "write FACET attribute ORDER BY function(...); rows come in the order of the first function anyway"
    raise NrqlError("ORDER BY has no meaning beside FACET", cursor.spans[place][0], remedy)


def _items(cursor: Cursor) -> tuple[Selected, ...]:
    items = [_item(cursor)]
    while cursor.words[cursor.at] == ",":
        cursor.at += 1
        items.append(_item(cursor))
    return tuple(items)


def _item(cursor: Cursor) -> Selected:
    start = cursor.at
    value = expression(cursor)
    label = alias(cursor) if cursor.words[cursor.at] == "as" else None
    return Selected(value, label, cursor.since(start))


def _from(cursor: Cursor) -> tuple[Name | Nested | Call, ...]:
    sources = [_source(cursor)]
    while cursor.words[cursor.at] == ",":
        cursor.at += 1
        sources.append(_source(cursor))
    if len(sources) > 1 and any(isinstance(each, Nested) for each in sources):
        raise NrqlError("FROM holds event types or one nested statement", cursor.position, "JOIN brings in another")
    return tuple(sources)


def _beside_sources(cursor: Cursor, draft: dict[str, Any]) -> None:
    label = alias(cursor)
    if label is not None:
        draft["source_alias"] = label
    if cursor.words[cursor.at] in {"join", "inner", "left"}:
        draft["join"] = _join(cursor)


def _source(cursor: Cursor) -> Name | Nested | Call:
    if cursor.words[cursor.at] == "(":
        return _nested(cursor)
    if cursor.words[cursor.at + 1] == "(" and cursor.kind == WORD:
        return call(cursor)
    return name(cursor, "FROM wants an event type")


def _join(cursor: Cursor) -> Join:
    start = cursor.at
    kind = "left" if cursor.took("left") else "inner"
    cursor.took("inner")
    if not cursor.took("join"):
        unexpected(cursor, "JOIN is missing")
    if cursor.word != "(":
        remedy = "write JOIN (SELECT ... FROM EventType FACET key) ON key"
        raise NrqlError("JOIN wants a statement in parentheses", cursor.position, remedy)
    query = _nested(cursor)
    label = alias(cursor)
    if not cursor.took("on"):
        unexpected(cursor, "ON key is missing behind JOIN (...)")
    left = quantity(cursor)
    if cursor.took("="):
        right = name(cursor, "the right side of ON is a name that the joined statement selects")
    elif isinstance(left, Name):
        right = left
    else:
        unexpected(cursor, "the other side of ON, '= name', is missing")
    return Join(kind=kind, query=query, alias=label, left=left, right=right, span=cursor.since(start))


def _with(cursor: Cursor) -> dict[str, object]:
    if cursor.word in {"timezone", "metric_format"} and cursor.kinds[cursor.at + 1] == TEXT:
        cursor.at += 2
        return {cursor.words[cursor.at - 2]: unquoted(cursor.written(cursor.at - 1))}
    variables = [_variable(cursor)]
    while cursor.took(","):
        variables.append(_variable(cursor))
    return {"variables": tuple(variables)}


def _variable(cursor: Cursor) -> Selected:
    start = cursor.at
    value = expression(cursor)
    if not cursor.took("as"):
        unexpected(cursor, "AS name is missing")
    names: list[Name] = []
    several = cursor.took("(")
    if several and cursor.word in {"select", "from"}:
        raise NrqlError("WITH names values, and no statements", cursor.position, "put the statement into FROM (...)")
    while not names or (several and cursor.took(",")):
        names.append(name(cursor, "AS wants a name, or several in parentheses"))
        if "," in names[-1].name:
            raise NrqlError("a variable cannot have a comma in its name", names[-1].span.start, "name it otherwise")
    if several and not cursor.took(")"):
        unexpected(cursor, "a comma or ')'")
    return Selected(value=value, alias=",".join(each.name for each in names), span=cursor.since(start))


def _facet(cursor: Cursor) -> Facet:
    start = cursor.at - 1
    if cursor.words[cursor.at] == "by" and cursor.kinds[cursor.at + 1] in {WORD, QUOTED}:
        raise NrqlError("FACET takes no BY", cursor.position, "write FACET attribute")
    items = _items(cursor)
    order = _order(cursor, descending=True) if cursor.took("order", "by") else None
    return Facet(items=items, order_by=order, span=cursor.since(start))


def _order_by(cursor: Cursor) -> tuple[Order, ...]:
    if not cursor.took("by"):
        unexpected(cursor, "ORDER wants BY")
    orders = [_order(cursor, descending=False)]
    while cursor.took(","):
        orders.append(_order(cursor, descending=False))
    return tuple(orders)


def _order(cursor: Cursor, *, descending: bool) -> Order:
    start = cursor.at
    value = expression(cursor)
    if cursor.took("desc"):
        descending = True
    elif cursor.took("asc"):
        descending = False
    return Order(value=value, descending=descending, span=cursor.since(start))


def _limit(cursor: Cursor) -> Limit:
    if cursor.took("max"):
        return Limit(rows="max", span=cursor.since(cursor.at - 1))
    return _offset(cursor)


def _offset(cursor: Cursor) -> Limit:
    written = cursor.written(cursor.at)
    if cursor.kinds[cursor.at] != NUMBER or not written.isdigit() or len(written) > _ROWS_DIGITS:
        unexpected(cursor, f"{cursor.words[cursor.at - 1].upper()} wants a whole number")
    cursor.at += 1
    return Limit(rows=int(written), span=cursor.since(cursor.at - 1))


def _compare(cursor: Cursor) -> Moment:
    if not cursor.took("with"):
        unexpected(cursor, "COMPARE wants WITH")
    return ago(cursor, "COMPARE WITH")


def _extrapolate(_: Cursor) -> bool:
    return True


def _predict(cursor: Cursor) -> tuple[Selected, ...]:
    parts: list[Selected] = []
    if cursor.kind == WORD and cursor.words[cursor.at + 1] == "(":
        parts.append(Selected(value=call(cursor)))
    parts += (
        Selected(value=duration(cursor, f"{word.upper()} wants a length of time"), alias=word)
        for word in ("by", "using")
        if cursor.took(word)
    )
    return tuple(parts)


_BESIDE_SOURCES: Final = frozenset(("as", "join", "inner", "left"))
_CLAUSES: Final[dict[str, tuple[str, Callable[[Cursor], object]]]] = {
    "select": ("select", _items),
    "from": ("sources", _from),
    "with": ("with", _with),
    "where": ("where", expression),
    "facet": ("facet", _facet),
    "order": ("order_by", _order_by),
    "limit": ("limit", _limit),
    "offset": ("offset", _offset),
    "since": ("since", moment),
    "until": ("until", moment),
    "compare": ("compare_with", _compare),
    "timeseries": ("timeseries", timeseries),
    "extrapolate": ("extrapolate", _extrapolate),
    "predict": ("predict", _predict),
}


def _show(cursor: Cursor) -> Show:
    cursor.at += 1
    first = cursor.at
    while cursor.kind == WORD and cursor.word not in {"since", "until"} and cursor.at - first < _SHOWN_WORDS:
        cursor.at += 1
    what = " ".join(cursor.words[first : cursor.at])
    if what != "event types":
        cursor.at = first
        raise NrqlError(
            f"SHOW {what.upper()[:40]} is not known".replace("  ", " "), cursor.position, "write SHOW EVENT TYPES"
        )
    draft: dict[str, Any] = {}
    while cursor.word in {"since", "until"}:
        key = cursor.word
        if key in draft:
            _twice(cursor, key)
        cursor.at += 1
        draft[key] = moment(cursor)
    return Show(what=what, span=cursor.since(0), **draft)
