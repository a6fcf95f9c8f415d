"""Rows and remarks read out of NerdGraph's containers: any field may be missing, and nothing in them is trusted."""

import math
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final
from typing import cast

from sources.errors import SourceUnreachable
from sources.nrql.answers_cells import Cells

_MESSAGE_CHARS: Final = 160

Row = Mapping[str, Any]


def rows(container: Mapping[str, Any]) -> tuple[Row, ...]:
    """The rows of an answer; what is no row is left out. An empty container, for what was not asked, has none.

    Raises `SourceUnreachable` for an answer that came without its list of rows: that there are none would be a guess.
    """
    found = container.get("results")
    if not isinstance(found, list):
        if not container:
            return ()
        raise SourceUnreachable("New Relic answered without the rows that were asked for")
    return tuple(cast("Row", each) for each in cast("list[Any]", found) if isinstance(each, Mapping))


def first(container: Mapping[str, Any]) -> Row:
    """The only row of an answer without FACET; empty when there is none."""
    found = rows(container)
    return found[0] if found else {}


def count(value: Any) -> int:
    """A count; anything that is none counts 0."""
    if isinstance(value, int):
        return max(0, value)
    return max(0, int(value)) if isinstance(value, float) and math.isfinite(value) else 0


def number(value: Any) -> int | float | None:
    """A finite number; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def facet(row: Row, aliases: Sequence[str]) -> Any:
    """The value of the only FACET of a row: as `facet`, or, as some recordings have it, only under its own name."""
    found = row.get("facet", next((value for key, value in row.items() if key not in aliases), None))
    if isinstance(found, list):
        listed = cast("list[Any]", found)
        return listed[0] if listed else None
    return found


def inspected(container: Mapping[str, Any]) -> int:
    """Rows that NRDB looked at; 0 when it does not say."""
    return count(_statistics(container).get("inspectedCount"))


def remarks(container: Mapping[str, Any]) -> Iterator[str]:
    """Why an answer may be partial, as sentences."""
    statistics = _statistics(container)
    omitted = count(statistics.get("omittedCount"))
    if omitted:
        yield f"NRDB left out {omitted} rows: the numbers are of part of the window; narrow it."
    if statistics.get("exceedsRetentionWindow") is True:
        yield "The window begins before what the account keeps: older rows are gone."
    for message in _messages(container):
        yield f'NRDB says: "{Cells().name(message, most=_MESSAGE_CHARS).strip()}"'


def _messages(container: Mapping[str, Any]) -> Iterator[str]:
    messages = _mapping(container.get("metadata")).get("messages")
    if isinstance(messages, list):
        yield from (each for each in cast("list[Any]", messages)[:3] if isinstance(each, str) and each.strip())


def _statistics(container: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(_mapping(container.get("rawResponse")).get("performanceStats"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
