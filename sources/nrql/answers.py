"""An NRDB answer as one table: whatever of the many shapes came, columns named as a person would, and honest remarks.

Facets stand first, then `comparison`, then `begin` and `end` of a bucket, then what was selected in its order. Facet
values beyond LIMIT and totals are never mixed into the rows: they are told in `remarks`, so that sums are honest.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from sources.nrql.answers_cells import Cells
from sources.nrql.answers_cells import instants
from sources.nrql.answers_cells import plain
from sources.nrql.answers_cells import type_of
from sources.nrql.answers_columns import Column
from sources.nrql.answers_columns import columns
from sources.nrql.answers_matching import Match
from sources.nrql.answers_matching import matches
from sources.nrql.answers_remarks import remarks
from sources.nrql.answers_rows import Lines
from sources.nrql.answers_rows import lines
from sources.nrql.answers_spread import spread
from sources.nrql.answers_wanted import APDEX
from sources.nrql.answers_wanted import facet_names
from sources.nrql.answers_wanted import guessed
from sources.nrql.answers_wanted import wanted
from sources.nrql.tree import Query
from sources.nrql.tree import Statement
from sources.protocol import Attribute
from sources.protocol import Json

COLUMNS_MOST: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One table."""

    columns: tuple[Attribute, ...]
    """Types are string, numeric, boolean, timestamp (RFC 3339 text), list, object, or mixed."""
    rows: tuple[tuple[Json, ...], ...]
    remarks: tuple[str, ...] = ()
    """Sentences about what is missing from the rows and what NRDB remarked; bounded."""
    cut: bool = False
    """Some value was too long and was shortened."""


def tabled(statement: Statement | None, container: Mapping[str, Any]) -> Answers:
    """`statement` None: it could not be read, so the rows alone say what they are. Never raises, whatever came."""
    query = statement if isinstance(statement, Query) else None
    read = lines(container, facet_names(query.facet) if query else None)
    matched = _matched(query, read)
    weighed = any(match.wanted.is_weighed for match in matched)
    found = spread(read, matched) or columns(read, matched, weighed=weighed)
    cells = Cells()
    said = remarks(container, read, cells.name)
    if len(found) > COLUMNS_MOST:
        said = (*said, f"Only the first {COLUMNS_MOST:,} of {len(found):,} columns are shown: select fewer.")
    return _answers(found[:COLUMNS_MOST], said, cells)


def _matched(query: Query | None, read: Lines) -> tuple[Match, ...]:
    if query is not None:
        return matches(wanted(query), read.keys, read.facets)
    guesses = [guessed(key, read.facets) for key in sorted(read.keys, key=lambda key: key != "timestamp")]
    twice = APDEX if any(each.function == "apdex" for each in guesses) else ()
    return matches([each for each in guesses if each.name not in twice], read.keys, read.facets)


def _answers(found: Sequence[Column], said: tuple[str, ...], cells: Cells) -> Answers:
    names = _distinct([cells.name(column.name) for column in found])
    shown = [_shown(column, cells) for column in found]
    return Answers(
        columns=tuple(Attribute(name=name, type=kind) for name, (kind, _) in zip(names, shown, strict=True)),
        rows=tuple(zip(*(column for _, column in shown), strict=True)),
        remarks=said,
        cut=cells.cut,
    )


def _shown(column: Column, cells: Cells) -> tuple[str, Sequence[Json]]:
    if column.is_instant and (told := instants(column.values)) is not None:
        return "timestamp", told
    return type_of(column.values, column.otherwise), plain(column.values, cells)


def _distinct(names: Sequence[str]) -> list[str]:
    """Names that occur again get their number behind them."""
    seen: dict[str, int] = {}
    found: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found
