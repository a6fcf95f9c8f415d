"""Answers that are one value and mean many rows: `uniques(a)` alone, and a histogram."""

from collections.abc import Sequence
from typing import Final
from typing import cast

from sources.nrql.answers_columns import Column
from sources.nrql.answers_columns import around
from sources.nrql.answers_columns import values
from sources.nrql.answers_matching import Match
from sources.nrql.answers_rows import Lines
from sources.nrql.answers_rows import mapping
from sources.nrql.answers_rows import sequence
from sources.nrql.answers_wanted import is_number

Bin = tuple[float | None, float | None, object]
"""From (included), to (not included; None is open), and how many."""
_BINS_MOST: Final = 1_000


def spread(lines: Lines, matched: Sequence[Match]) -> list[Column] | None:
    """The columns of such an answer. None: it is an ordinary one."""
    if len(matched) != 1 or matched[0].key is None or not lines.rows:
        return None
    match = matched[0]
    if match.wanted.function == "histogram":
        return _histogram(lines, match)
    if match.wanted.function == "uniques" and len(lines.rows) == 1 and not around(lines, weighed=False):
        return _uniques(match, values(lines.rows, match)[0])
    return None


def _uniques(match: Match, value: object) -> list[Column] | None:
    """One row for each value, or for each combination of several attributes."""
    if not isinstance(value, list):
        return None
    found = sequence(cast("object", value))
    names = match.wanted.attributes
    if len(names) > 1 and all(len(sequence(each)) == len(names) for each in found):
        return [Column(name=name, values=[sequence(each)[place] for each in found]) for place, name in enumerate(names)]
    only = names[0] if len(names) == 1 else match.name
    return [Column(name=match.wanted.alias or only, values=found, is_instant=only == "timestamp")]


def _histogram(lines: Lines, match: Match) -> list[Column] | None:
    """One row for each bin, behind the facet and the bucket of time it is of."""
    found = [_bins(value, match.wanted.steps) for value in values(lines.rows, match)]
    if any(bins is None for bins in found):
        return None
    spreads = [(place, each) for place, bins in enumerate(found) for each in bins or ()]
    before = [
        Column(name=column.name, values=[column.values[place] for place, _ in spreads], is_instant=column.is_instant)
        for column in around(lines, weighed=False)
    ]
    inside = (("low", 0), ("high", 1), ("count", 2))
    return [
        *before,
        *(Column(name=name, values=[each[at] for _, each in spreads], otherwise="numeric") for name, at in inside),
    ]


def _bins(value: object, steps: tuple[float, float] | None) -> tuple[Bin, ...] | None:
    """An object of lower edges, or a list of counts. None: it is neither. What is above the last edge is in the last.

    Source: docs.newrelic.com, NRQL reference, `histogram()`: values outside the range appear in the final bucket.
    """
    if value is None:
        return ()
    counts = mapping(value)
    if counts and len(counts) <= _BINS_MOST and all(is_number(edge) for edge in counts):
        edges = sorted(counts, key=float)
        return _edged([_edge(edge) for edge in edges], [counts[edge] for edge in edges])
    listed = sequence(value)
    if not listed or steps is None or not steps[1] or len(listed) > _BINS_MOST:
        return None
    return _edged([steps[0] / steps[1] * place for place in range(len(listed))], listed)


def _edge(text: str) -> float:
    edge = float(text)
    return int(edge) if edge.is_integer() else edge


def _edged(lows: Sequence[float], counts: Sequence[object]) -> tuple[Bin, ...]:
    highs: list[float | None] = [*lows[1:], None]
    return tuple(zip(lows, highs, counts, strict=True))
