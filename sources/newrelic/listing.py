"""What a first look at an account asks and how its answers are read: pure."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import Final

from sources.errors import SourceError
from sources.errors import SourceUnreachable
from sources.newrelic.answered import Row
from sources.newrelic.answered import count
from sources.newrelic.answered import facet
from sources.newrelic.answered import number
from sources.newrelic.answered import rows
from sources.newrelic.dictionary import NOTHING
from sources.newrelic.dictionary import Words
from sources.newrelic.names import TEXT_CHARS
from sources.newrelic.names import chunks
from sources.newrelic.names import is_usable
from sources.newrelic.names import metric_schema
from sources.newrelic.window import instant
from sources.nrql.text import name_text
from sources.protocol import Attribute
from sources.protocol import Schema

MEASURES: Final = "count(*) AS c, earliest(timestamp) AS f, latest(timestamp) AS l"
_ALIASES: Final = ("c", "f", "l", "b")
_TYPES_TOGETHER: Final = 50
_KINDS: Final = ("string", "numeric", "boolean")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Rows of an event type or a metric within the window."""

    rows: int
    first_at: str | None = None
    last_at: str | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was counted, by event type; those of a part that failed are not in it."""

    by_type: Mapping[str, Counted]
    is_whole: bool

    def rows(self, event_type: str) -> int:
        """0 also for what was not counted."""
        return self.by_type[event_type].rows if event_type in self.by_type else 0


def parts(types: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Event types that fit into one statement each."""
    ranges = chunks([name_text(each) for each in types], most=_TYPES_TOGETHER, chars=TEXT_CHARS - 250)
    return tuple(tuple(types[begin:end]) for begin, end in ranges)


def counting(types: Sequence[str], clause: str) -> str:
    """Counts, ranges and bytes of many event types in one statement."""
    named = ", ".join(name_text(each) for each in types)
    return f"SELECT {MEASURES}, bytecountestimate() AS b FROM {named} {clause} FACET eventType() LIMIT MAX"


def shown(types: Sequence[str], clause: str) -> tuple[str, ...]:
    """The queries of a listing for its provenance; of those that are alike, the first with how many more there were."""
    counted = [counting(part, clause) for part in parts(types) if part]
    keysets = [f"SELECT keyset() FROM {name_text(each)} {clause} LIMIT MAX" for each in types]
    return (f"SHOW EVENT TYPES {clause}", *_first_of(counted), *_first_of(keysets))


def _first_of(texts: Sequence[str]) -> tuple[str, ...]:
    more = f" -- and {len(texts) - 1} more like it" if len(texts) > 1 else ""
    return tuple(f"{text}{more}" for text in texts[:1])


def counts(types: Sequence[str], answers: Sequence[Mapping[str, Any] | SourceError]) -> Counts:
    """The containers of `parts`, in order, put together. Raises the first fault when nothing was answered."""
    read = [_read(each) for each in answers]
    faults = [each for each in read if isinstance(each, SourceError)]
    if faults and len(faults) == len(read):
        raise faults[0]
    found: dict[str, Counted] = {}
    for part, seen in zip(parts(types), read, strict=True):
        if not isinstance(seen, SourceError):
            found |= {each: seen.get(each, Counted(rows=0)) for each in part}
    return Counts(by_type=found, is_whole=not faults)


def _read(answer: Mapping[str, Any] | SourceError) -> dict[str, Counted] | SourceError:
    try:
        return answer if isinstance(answer, SourceError) else counted(rows(answer))
    except SourceUnreachable as fault:
        return fault


def counted(found: Iterable[Row]) -> dict[str, Counted]:
    """Rows of one FACET over names; names that cannot be asked about are left out."""
    named = ((facet(row, _ALIASES), row) for row in found)
    return {name: _counted(row) for name, row in named if is_usable(name)}


def attributes(found: Iterable[Row]) -> tuple[Attribute, ...]:
    """The attributes of a `keyset()`, in its order; what cannot be asked about is left out.

    One that holds texts in some rows and something else in others is listed twice; it is a text, which takes any value.
    """
    kinds: dict[str, str] = {}
    for row in found:
        name, kind = row.get("key"), row.get("type")
        if is_usable(name) and kind in _KINDS and (kind == "string" or name not in kinds):
            kinds[str(name)] = str(kind)
    return tuple(Attribute(name=name, type=kind) for name, kind in kinds.items())


def left_out(found: Iterable[Row]) -> int:
    """How many names of a `keyset()` cannot be asked about."""
    return len({str(row.get("key")) for row in found if not is_usable(row.get("key"))})


def of_metric(found: Sequence[Attribute], metric: str, metrics: Iterable[str]) -> tuple[Attribute, ...]:
    """The attributes of one metric: its value, which has its name, and its dimensions, but no other metrics."""
    others = {metric, *metrics}
    return (Attribute(name=metric, type="numeric"), *(each for each in found if each.name not in others))


def with_meaning(found: Sequence[Attribute], words: Words) -> tuple[Attribute, ...]:
    if not words.attributes:
        return tuple(found)
    return tuple(_meant(each, words) for each in found)


def event_type(source: str, name: str, counted: Counts, attributes: int | None, words: Words = NOTHING) -> Schema:
    """An event type as a schema; what was not answered of it is unknown."""
    known = counted.by_type.get(name)
    return Schema(
        source=source,
        name=name,
        rows=None if known is None else known.rows,
        attributes=attributes,
        origin="event type",
        first_at=None if known is None else known.first_at,
        last_at=None if known is None else known.last_at,
        meaning=words.meaning,
        bytes=None if known is None else known.bytes,
    )


def metric(source: str, name: str, known: Counted) -> Schema:
    """A dimensional metric as a schema; its attributes are known when they are asked for."""
    return Schema(
        source=source,
        name=metric_schema(name),
        rows=known.rows,
        attributes=None,
        origin="dimensional metric",
        first_at=known.first_at,
        last_at=known.last_at,
    )


def _meant(attribute: Attribute, words: Words) -> Attribute:
    meant = words.attributes.get(attribute.name)
    return attribute if meant is None else replace(attribute, meaning=meant.meaning)


def _counted(row: Row) -> Counted:
    rows_seen = count(row.get("c"))
    first, last = _range(row) if rows_seen else (None, None)
    size = number(row.get("b"))
    return Counted(
        rows=rows_seen, first_at=first, last_at=last, bytes=None if size is None or size < 0 else round(size)
    )


def _range(row: Row) -> Iterator[str | None]:
    for key in ("f", "l"):
        at_ms = number(row.get(key))
        yield None if at_ms is None else instant(at_ms)
