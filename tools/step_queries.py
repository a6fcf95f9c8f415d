"""A first query for what a goal needs: one schema, its verified attributes, names and values quoted, rows bounded."""

import re
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tools.language import name_words
from tools.lexicon import TIMES
from tools.links import subject

_NUMERIC: Final = re.compile(r"^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|BIGNUM|DOUBLE|FLOAT|REAL|DECIMAL.*|numeric)$")
_TEXT: Final = re.compile(r"^(VARCHAR|ENUM.*|BOOLEAN|string|boolean)$")
_LOWEST: Final = frozenset({"least", "lowest", "fewest", "smallest", "minimum", "shortest", "earliest", "cheapest"})
ROWS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Attributes of a schema that a goal needs, in the order in which its text needs them."""

    schema: str
    types: Mapping[str, str]
    """All attributes with their types."""
    attributes: Sequence[str]
    values: Mapping[str, str]
    """Attributes whose value a term meets, with that value."""


def first_query(matched: Matched, question: str) -> str | None:
    """DuckDB SQL that counts, groups or measures what is needed. None: nothing that is needed can be.

    A number is averaged over the groups of a text, or of a part of a date; alone, its extremes are asked for.
    """
    chosen = chosen_of(matched)
    if chosen is None:
        return None
    measure, group = chosen
    where = _where(matched.values)
    source = f"FROM {_quoted(matched.schema)}{where}"
    if group is None:
        return f"SELECT {_extremes(measure)} {source}"
    order = "ASC" if wants_lowest(question) else "DESC"
    measured = "" if measure is None else f", avg({_quoted(measure)}) AS mean, max({_quoted(measure)}) AS highest"
    by = 2 if measure is None else 3
    return (
        f"SELECT {_quoted(group)}, count(*) AS row_count{measured} {source} "
        f"GROUP BY 1 ORDER BY {by} {order} NULLS LAST LIMIT {ROWS}"
    )


def chosen_of(matched: Matched) -> tuple[str | None, str | None] | None:
    """The attribute to measure and the one to group by, each None when there is none. None: there is nothing to ask."""
    free = [name for name in matched.attributes if name not in matched.values]
    measure = next((name for name in free if _is_measure(name, matched.types[name])), None)
    group = next((name for name in free if name != measure and _is_group(name, matched.types[name])), None)
    return None if measure is None and group is None and not matched.values else (measure, group)


def wants_lowest(question: str) -> bool:
    """Whether the question is about the small end."""
    return bool(_LOWEST & set(re.findall(r"\w+", question.casefold())))


def _extremes(measure: str | None) -> str:
    if measure is None:
        return "count(*) AS row_count"
    name = _quoted(measure)
    return f"count({name}) AS row_count, min({name}) AS lowest, avg({name}) AS mean, max({name}) AS highest"


def _where(values: Mapping[str, str]) -> str:
    parts = [f"{_quoted(name)} = {_literal(value)}" for name, value in values.items()]
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def _is_measure(name: str, kind: str) -> bool:
    """A number that is neither an id nor a part of a date."""
    return bool(_NUMERIC.match(kind)) and not subject(name) and not TIMES & set(name_words(name))


def _is_group(name: str, kind: str) -> bool:
    if _TEXT.match(kind):
        return True
    return bool(_NUMERIC.match(kind)) and bool(subject(name) or TIMES & set(name_words(name)))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
