"""Names of schemas and attributes: which can be asked about, how a statement says them, and what is a metric."""

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sources.nrql.text import literal
from sources.nrql.text import name_text

METRICS: Final = "Metric"
"""The event type that dimensional metrics are rows of."""
_PREFIX: Final = f"{METRICS}/"
_LONGEST: Final = 255
"""Source: docs.newrelic.com, limits of the Event API and the Metric API: names have at most 255 characters."""

TEXT_CHARS: Final = 3_900
"""A statement is kept shorter. Source: docs.newrelic.com, rate-limits-nrql-queries: 4,096 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a schema's rows are read from."""

    schema: str
    event_type: str
    metric: str | None = None
    """The name of a dimensional metric, which is also its value's attribute. None: the schema is an event type."""

    def asked(self, select: str, *, rest: str, where: str = "") -> str:
        """A statement over the rows of the schema."""
        metric = "" if self.metric is None else f"metricName = {literal(self.metric)}"
        condition = " AND ".join(each for each in (metric, where) if each)
        return f"SELECT {select} FROM {name_text(self.event_type)}{' WHERE ' * bool(condition)}{condition} {rest}"


def place_of(schema: str) -> Place:
    """Where the rows of a schema are, by its name alone."""
    metric = schema.removeprefix(_PREFIX)
    if metric == schema or not metric:
        return Place(schema=schema, event_type=schema)
    return Place(schema=schema, event_type=METRICS, metric=metric)


def metric_schema(metric: str) -> str:
    return f"{_PREFIX}{metric}"


def is_usable(name: object) -> bool:
    """Whether a name can be shown and asked about: printable, not blank, not too long, and without a backtick.

    Names come from whoever sent the rows; control characters or turned text in them would be shown as something else.
    """
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST:
        return False
    return name.isprintable() and "`" not in name and not name.isspace()


def chunks(texts: Sequence[str], *, most: int, chars: int) -> tuple[tuple[int, int], ...]:
    """Ranges of `texts` that fit into one statement each: so many, and so many characters joined by a comma."""
    ranges: list[tuple[int, int]] = []
    begin = 0
    taken = 0
    for place, text in enumerate(texts):
        size = len(text) + 2
        if place > begin and (taken + size > chars or place - begin == most):
            ranges.append((begin, place))
            begin, taken = place, 0
        taken += size
    return (*ranges, (begin, len(texts))) if texts else ()


def twins(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Other names that only differ in dots, underscores and case, such as `traceId` and `trace.id`."""
    folded = _folded(name)
    return tuple(each for each in known if each != name and _folded(each) == folded)


def _folded(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
