"""What people write who know SQL, or who mistype, and what to write in NRQL instead."""

import difflib
from typing import Final
from typing import NoReturn

from sources.nrql.errors import NrqlError
from sources.nrql.errors import excerpt
from sources.nrql.tokens import END
from sources.nrql.tokens import NUMBER
from sources.nrql.tokens import TEXT
from sources.nrql.tokens import WORD
from sources.nrql.tokens import Cursor
from sources.nrql.words import RESERVED

READS_ONLY: Final = "NRQL is only read with here: begin with SELECT, FROM, WITH or SHOW EVENT TYPES"
_WRITES_TEXT: Final = """
insert update delete drop create alter truncate merge grant revoke replace upsert copy attach call set exec execute
"""
_WRITES: Final = frozenset(_WRITES_TEXT.split())
_CLAUSES_TEXT: Final = """
select from where facet since until limit offset order timeseries compare with extrapolate predict join and or like
rlike as slide
"""
_CLAUSES: Final[tuple[str, ...]] = tuple(_CLAUSES_TEXT.split())

_REMEDIES: Final = {
    "having": "NRQL has no HAVING: put the grouped statement into FROM (...), and filter around it with WHERE",
    "group": "write FACET attribute instead of GROUP BY attribute",
    "between": "write x >= 1 AND x <= 10 instead of BETWEEN",
    "distinct": "write uniqueCount(x) to count different values, or uniques(x) to list them",
    "case": "write if(condition, a, b), or FACET CASES(WHERE condition AS 'name', ...)",
    "when": "write if(condition, a, b), or FACET CASES(WHERE condition AS 'name', ...)",
    "ilike": "write LIKE, which ignores case",
    "regexp": "write RLIKE r'...'",
    "matches": "write RLIKE r'...'",
    "union": "name several event types instead: FROM A, B",
    "escape": "NRQL has no ESCAPE: % is the only wildcard of LIKE",
    "over": "NRQL has no window functions: use TIMESERIES ... SLIDE BY",
    "exists": "write attribute IN (SELECT uniques(attribute) FROM ...)",
    "right": "JOIN takes INNER (the default) or LEFT",
    "full": "JOIN takes INNER (the default) or LEFT",
    "cross": "JOIN takes INNER (the default) or LEFT",
    "outer": "write LEFT JOIN (SELECT ...) ON key",
    "<>": "write !=",
    "==": "write = with a single sign",
    "asc": "ASC and DESC stand behind ORDER BY attribute",
    "desc": "ASC and DESC stand behind ORDER BY attribute",
    "top": "write LIMIT n at the end",
    "ago": "write SINCE 1 hour ago",
    "{": "put a value in place of the template variable",
    ";": "send one statement at a time",
    "show": "SHOW EVENT TYPES stands alone; a statement begins with SELECT or FROM",
}

_LEADING: Final = frozenset(("distinct", "case", "exists", "top", "right", "full", "cross", "outer"))
"""Words that are read as names before what stands behind them turns out to be wrong."""
_TWO_TEXTS: Final = "a quote inside a text is written \\', and texts are joined by concat(a, b)"


def unexpected(cursor: Cursor, wanted: str = "") -> NoReturn:
    """Refuse the token that comes next. `wanted` says what could stand there; Raises: NrqlError."""
    place = cursor.at
    if cursor.kinds[place] == END:
        _ended(cursor, wanted)
    found = excerpt(cursor.written(place))
    reason = f"'{found}' is not expected here" + (f", but {wanted}" if wanted else "")
    remedy = _remedy(cursor, place)
    raise NrqlError(reason, cursor.position, remedy)


def refused_beginning(cursor: Cursor) -> NoReturn:
    """Refuse a text that does not begin like a statement that reads. Raises: NrqlError."""
    word = cursor.word
    if cursor.kind == END:
        raise NrqlError("the statement is empty", 0, "begin with SELECT or FROM, or write SHOW EVENT TYPES")
    if word in _WRITES:
        raise NrqlError(f"{word.upper()} is no statement that reads", cursor.position, READS_ONLY)
    meant = _meant(word, ("select", "from", "with", "show"))
    remedy = f"did you mean {meant.upper()}?" if meant else READS_ONLY
    raise NrqlError(f"a statement cannot begin with '{excerpt(cursor.written(cursor.at))}'", cursor.position, remedy)


def _ended(cursor: Cursor, wanted: str) -> NoReturn:
    opened = _unclosed(cursor)
    if opened is not None:
        raise NrqlError("the statement ends before this is closed", opened, "close it with ')'")
    raise NrqlError(f"the statement ends too early{f', {wanted} is missing' if wanted else ''}", len(cursor.text))


def _unclosed(cursor: Cursor) -> int | None:
    opened: list[int] = []
    for word, (start, _) in zip(cursor.words, cursor.spans, strict=True):
        if word == "(":
            opened.append(start)
        elif word == ")" and opened:
            opened.pop()
    return opened[-1] if opened else None


def _remedy(cursor: Cursor, place: int) -> str:
    """What to write instead; empty when the text may well be NRQL that is only not known here."""
    word = cursor.words[place]
    before = cursor.words[place - 1] if place else ""
    if word == ")" and cursor.words[:place].count("(") <= cursor.words[:place].count(")"):
        return "remove it, or open it with '('"
    for each in (word, before):
        if each in _REMEDIES and (each == word or each in _LEADING):
            return _REMEDIES[each]
    if cursor.kinds[place] == cursor.kinds[place - 1] == TEXT:
        return _TWO_TEXTS
    meant = _meant(word, _CLAUSES)
    if meant:
        return f"did you mean {meant.upper()}?"
    if word in RESERVED:
        return f"a name that reads `{word}` needs backticks"
    is_glued = cursor.kinds[place] == WORD and cursor.kinds[place - 1] == NUMBER
    return "a name that begins with a digit needs backticks" if is_glued else ""


def _meant(word: str, known: tuple[str, ...]) -> str:
    if not 2 < len(word) < 20 or word in known:  # noqa: PLR2004 - shorter and longer words are like everything, or nothing
        return ""
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.7)), "")
