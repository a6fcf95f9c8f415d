"""What names mean in one query: attributes of its event types, variables of WITH, and what of them is really used."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from typing import Literal

from sources.nrdb.events import TIMESTAMP
from sources.nrdb.events import Column
from sources.nrdb.events import Events
from sources.nrdb.literals import name_sql
from sources.nrdb.literals import plain_sql
from sources.nrdb.refused import NotTranslated
from sources.nrql.tree import In
from sources.nrql.tree import Name
from sources.nrql.tree import Nested
from sources.nrql.tree import Span

Sort = Literal["string", "numeric", "boolean", "null"]
"""What a value is; `null`: nothing of it is known here, so it is null in every row."""
Value = tuple[str, Sort]
NOTHING: Final[Value] = ("NULL", "null")
EVENT_TYPE: Final = "uds:type"
SIZE: Final = "uds:size"
PRESENT: Final = "uds:present"
TIME_SQL: Final = name_sql(TIMESTAMP)


@dataclass(slots=True)
class Scope:
    """Mutable while one query is translated: `used` grows with every name that is read."""

    events: tuple[Events, ...]
    zone: str
    """Of WITH TIMEZONE; UTC without."""
    scalar: Callable[[Nested], Value]
    """How a statement in parentheses becomes one value."""
    members: Callable[[In], tuple[str, Sort]]
    """How the statement of `IN (...)` becomes a set."""
    variables: dict[str, Value]
    used: dict[str, Sort]
    specials: dict[str, None]
    """`EVENT_TYPE`, `SIZE` and `PRESENT`, when they are read."""

    @property
    def has_time(self) -> bool:
        return False not in [each.has_time for each in self.events]

    def attribute(self, name: Name) -> Value:
        """What a name is; an unknown one is null in every row, as in NRDB."""
        spelling = name.name
        if spelling in self.variables:
            return self.variables[spelling]
        found = self.events[0].values.get(spelling, NOTHING) if len(self.events) == 1 else self._shared(name)
        if found is not NOTHING:
            self.used[spelling] = found[1]
        return found

    def special(self, name: str) -> str:
        self.specials[name] = None
        return name_sql(name)

    def time(self, what: str, place: Span) -> str:
        """The column `timestamp`. Raises `NotTranslated` for `what` when there is none."""
        if not self.has_time:
            timeless = ", ".join(each.name for each in self.events if not each.has_time)
            raise NotTranslated(
                f"{what} needs the time of each row, and {timeless or 'this'} has no attribute that tells it",
                place.start,
                f"Leave out {what}.",
            )
        self.used[TIMESTAMP] = "numeric"
        return TIME_SQL

    def _shared(self, name: Name) -> Value:
        """A name in several event types, or in none."""
        known = self.used.get(name.name)
        if known is not None:
            return name_sql(name.name), known
        sorts: set[Sort] = {kind for each in self.events if (kind := each.kinds.get(name.name)) is not None}
        if len(sorts) > 1:
            raise NotTranslated(
                f"{name.name} is {' here and '.join(sorted(sorts))} there in the event types that are read",
                name.span.start,
                "Ask for one event type at a time.",
            )
        return (name_sql(name.name), sorts.pop()) if sorts else NOTHING


def relation(events: Sequence[Events], scope: Scope, condition: str) -> str:
    """The rows of the event types with the columns in use; `condition` is a WHERE on the time of each row, or empty."""
    names = sorted(scope.used)
    if not events:
        return f"(SELECT {_columns(None, scope, names) or '1'} WHERE false)"
    parts = [f"SELECT {_columns(each, scope, names) or '1'} FROM {each.relation}{condition}" for each in events]
    return f"({' UNION ALL '.join(parts)})"


def _columns(events: Events | None, scope: Scope, names: Sequence[str]) -> str:
    known = {} if events is None else events.values
    picked = [known[name][0] if name in known else _absent(name, scope.used[name]) for name in names]
    if scope.specials:
        picked += [f"{_SPECIAL[special](events)} AS {name_sql(special)}" for special in scope.specials]
    return ", ".join(picked)


def _absent(name: str, sort: Sort) -> str:
    return f"CAST(NULL AS {_SQL_TYPES[sort]}) AS {name_sql(name)}"


_SQL_TYPES: Final[dict[Sort, str]] = {"string": "VARCHAR", "numeric": "BIGINT", "boolean": "BOOLEAN", "null": "BIGINT"}


def _typed(events: Events | None) -> str:
    return plain_sql(events.name) if events else "CAST(NULL AS VARCHAR)"


def _size(events: Events | None) -> str:
    """About what NRDB counts: the name and the value of each attribute an event has."""
    if events is None:
        return "0"
    return events.size or size_of(events.columns)


def size_of(columns: Sequence[Column]) -> str:
    """The size of a row in bytes, as SQL over its attributes; a chain of 120 additions takes ten times as long."""
    sizes = [_attribute_size(column.name, column.kind) for column in columns]
    return f"CAST(list_sum([{', '.join(sizes)}]) AS BIGINT)" if sizes else "0"


def _present(events: Events | None) -> str:
    return (events and events.present) or "CAST(NULL AS BIT)"


def present_of(columns: Sequence[Column]) -> str:
    """Which attributes a row has, as SQL for a BIT in the order of their names."""
    names = sorted(column.name for column in columns)
    marks = [f"CASE WHEN {name_sql(name)} IS NULL THEN '0' ELSE '1' END" for name in names]
    return f"CAST(concat({', '.join(marks)}) AS BIT)"


_SPECIAL: Final[dict[str, Callable[[Events | None], str]]] = {EVENT_TYPE: _typed, SIZE: _size, PRESENT: _present}


def _attribute_size(name: str, kind: str) -> str:
    own = len(name.encode("utf-8", "surrogatepass"))
    if kind == "string":
        return f"coalesce({own} + strlen({name_sql(name)}), 0)"
    return f"(CASE WHEN {name_sql(name)} IS NULL THEN 0 ELSE {own + (8 if kind == 'numeric' else 1)} END)"
