"""Where the rows of a query come from: event types, a statement in parentheses, or a join of both; and its window."""

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from typing import Final

from sources.nrdb.events import TIMESTAMP
from sources.nrdb.events import Column
from sources.nrdb.events import Events
from sources.nrdb.functions import captures
from sources.nrdb.functions import refused
from sources.nrdb.keys import key_of
from sources.nrdb.literals import name_sql
from sources.nrdb.refused import NotTranslated
from sources.nrdb.scope import TIME_SQL
from sources.nrdb.scope import Scope
from sources.nrdb.scope import Value
from sources.nrdb.scope import relation
from sources.nrdb.values import value
from sources.nrdb.windows import Window
from sources.nrdb.windows import is_relative
from sources.nrql.bound import window_ms
from sources.nrql.tree import Call
from sources.nrql.tree import In
from sources.nrql.tree import Join
from sources.nrql.tree import Limit
from sources.nrql.tree import Name
from sources.nrql.tree import Nested
from sources.nrql.tree import Query
from sources.nrql.tree import Selected
from sources.nrql.tree import Show
from sources.nrql.tree import node

_NESTED_MOST: Final = 8
_AGES_MS: Final = 10**15
"""Before UNTIL alone, where no window is the default: as good as all of the past."""
_JOINED_ROWS: Final = 10
"""Source: docs.newrelic.com, "Use subquery joins": the joined statement keeps the default LIMIT of 10."""
_ROWS_OF_A_KEY: Final = 100
"""Source: as above: a key of the joined statement may have at most 100 rows."""


@dataclass(slots=True)
class Setting:
    """What is known while one statement is translated, its inner statements included."""

    events: Mapping[str, Events]
    now_ms: int
    default_ms: int | None
    """Length of the window when none is said. None: all rows."""
    is_approximate: bool
    scalar: Callable[["Setting", Nested, Window | None], Value]
    members: Callable[["Setting", In, Window | None], Value]
    inner: Callable[["Setting", Query, Window | None], Events]
    """How a statement in parentheses becomes rows."""
    schemas: dict[str, None]
    """What is read, as it turns up."""
    repeatable: bool = True
    depth: int = 0

    def deeper(self, position: int) -> None:
        """Count a statement in parentheses. Raises `NotTranslated` when there are too many."""
        self.depth += 1
        if self.depth > _NESTED_MOST:
            raise NotTranslated(f"more than {_NESTED_MOST} statements in parentheses", position)


@node
class Origin:
    """The FROM of one query."""

    scope: Scope
    window: Window | None
    made: Callable[[Window | None], tuple[Events, ...]]
    is_inner: bool
    """The rows are those of statements in parentheses: the window is inside them already."""

    def rows(self, window: Window | None) -> str:
        """The rows within a window, with the columns that are in use by now; SQL after FROM."""
        events = self.scope.events if window == self.window else self.made(window)
        bounded = "" if self.is_inner or window is None else within(window)
        return relation(events, self.scope, bounded)

    def earlier(self, ms: int) -> Window:
        """The window that COMPARE WITH names."""
        begin, end = self.window or (0, 0)
        return begin - ms, end - ms


def within(window: Window) -> str:
    """The condition that a row lies in the window."""
    return f" WHERE {TIME_SQL} >= {window[0]} AND {TIME_SQL} < {window[1]}"


def opened(query: Query, setting: Setting, window: Window | None) -> Origin:
    """The rows a query reads, and what its names mean. Raises `NotTranslated`."""
    made, is_inner = _made(query, setting)
    events = made(window)
    scope = Scope(
        events,
        query.timezone or "UTC",
        lambda nested: setting.scalar(setting, nested, window),
        lambda found: setting.members(setting, found, window),
        variables={},
        used={},
        specials={},
    )
    if window is not None and not is_inner:
        scope.time("a window (SINCE, UNTIL)", (query.since or query.until or query).span)
    for variable in query.variables:
        scope.variables.update(_defined(variable, scope))
    return Origin(scope, window, made, is_inner)


def window_of(query: Query | Show, setting: Setting) -> Window | None:
    """The window a statement asks for by itself. None: all rows. Raises `NrqlError`."""
    if query.since is None and query.until is None and setting.default_ms is None:
        return None
    ends_by_itself = query.until is not None and not is_relative(query.until)
    begins_by_itself = setting.default_ms is None if query.since is None else not is_relative(query.since)
    if not (ends_by_itself and begins_by_itself):
        setting.repeatable = False
    default_ms = _AGES_MS if setting.default_ms is None else setting.default_ms
    return window_ms(query, now_ms=setting.now_ms, default_ms=default_ms)


Made = Callable[[Window | None], tuple[Events, ...]]


def _made(query: Query, setting: Setting) -> tuple[Made, bool]:
    """How the rows of a window come about, and whether the window is inside them."""
    first = query.sources[0]
    if isinstance(first, Nested):
        return _nested(query, first, setting), True
    names = [_event_type(each) for each in query.sources]
    found = tuple([setting.events[name] for name in names if name in setting.events])
    for each in found:
        setting.schemas[each.name] = None
    join = query.join
    if join is None:
        return lambda _window: found, False
    if len(names) > 1 or not found:
        raise NotTranslated(
            "JOIN with several event types, or with an unknown one, is not run locally", join.span.start
        )
    return lambda window: (_joined(found[0], join, setting, window),), True


def _nested(query: Query, first: Nested, setting: Setting) -> Made:
    if query.join is not None or len(query.sources) > 1:
        raise NotTranslated("a statement in FROM beside others is not run locally", first.span.start)
    if first.query.since is not None or first.query.until is not None:
        raise NotTranslated("SINCE or UNTIL inside FROM", first.span.start, "Say the window once, outside.")
    return lambda window: (setting.inner(setting, first.query, window),)


def _event_type(source: Name | Nested | Call) -> str:
    if isinstance(source, Call):
        raise refused(source)
    if isinstance(source, Nested):
        raise NotTranslated("a statement in FROM beside others is not run locally", source.span.start)
    return source.name


def _joined(left: Events, join: Join, setting: Setting, window: Window | None) -> Events:
    """Both sides as one relation. A name that both have would be anybody's guess, so it is refused."""
    inner = join.query.query
    if inner.facet is not None and inner.limit is None:
        inner = replace(inner, limit=Limit(rows=_JOINED_ROWS))
    if not isinstance(join.left, Name):
        raise NotTranslated(
            "JOIN ON a computed value is not run locally", join.left.span.start, "Join by an attribute."
        )
    right = setting.inner(setting, inner, window)
    doubled = sorted((left.kinds.keys() & _told(inner, right)) - ({join.left.name} & {join.right.name}))
    if doubled:
        remedy = "Name it otherwise in the inner statement: AS other."
        raise NotTranslated(f"both sides of JOIN have {doubled[0]}", join.query.span.start, remedy)
    added = tuple(column for column in right.columns if column.name not in left.kinds)
    bounded = f"(SELECT * FROM {left.relation}{within(window)})" if window and left.has_time else left.relation
    on = _on(left, join.left.name, right, join.right)
    picked = ", ".join(['"uds:l".*', *(f'"uds:r".{name_sql(column.name)}' for column in added)])
    kind = "LEFT JOIN" if join.kind == "left" else "JOIN"
    return Events(
        name=left.name,
        relation=f'(SELECT {picked} FROM {bounded} AS "uds:l" {kind} {_bounded(right, join.right)} AS "uds:r" ON {on})',
        columns=(*left.columns, *(Column(name=column.name, kind=column.kind) for column in added)),
        has_time=left.has_time,
    )


def _told(inner: Query, right: Events) -> set[str]:
    """What the inner statement selects. The time of its rows comes along unasked, and is left behind."""
    asked = any(key_of(item) == TIMESTAMP for item in inner.select)
    return {name for name in right.kinds if name != TIMESTAMP or asked}


def _bounded(right: Events, key: Name) -> str:
    """The joined rows; running it fails when a key has more of them than NRDB allows."""
    by = name_sql(key.name)
    too_many = f"error('a key of JOIN has more than {_ROWS_OF_A_KEY} rows')"
    counted = f'(SELECT *, count(*) OVER (PARTITION BY {by}) AS "uds:k" FROM {right.relation})'
    return f'(SELECT * FROM {counted} WHERE CASE WHEN "uds:k" > {_ROWS_OF_A_KEY} THEN {too_many} ELSE true END)'


def _on(left: Events, ours: str, right: Events, theirs: Name) -> str:
    """Keys of different sorts never meet: nothing is coerced."""
    if theirs.name not in right.kinds:
        remedy = "Select it there, or FACET by it."
        raise NotTranslated(f"the inner statement has no {theirs.name}", theirs.span.start, remedy)
    if left.kinds.get(ours) != right.kinds[theirs.name]:
        return "false"
    return f'"uds:l".{name_sql(ours)} = "uds:r".{name_sql(theirs.name)}'


def _defined(variable: Selected, scope: Scope) -> dict[str, Value]:
    names = [name.strip() for name in (variable.alias or "").split(",")]
    if len(names) == 1:
        return {names[0]: value(variable.value, scope)}
    call = variable.value
    if not isinstance(call, Call) or call.function not in ("aparse", "capture") or len(call.arguments) != 2:  # noqa: PLR2004
        raise NotTranslated("WITH several names is only run locally for aparse() and capture()", variable.span.start)
    found = captures(call, scope, call.arguments[1].value, call.arguments[0].value)
    if len(found) != len(names):
        raise NotTranslated(f"WITH {len(names)} names for {len(found)} captured values", variable.span.start)
    return dict(zip(names, found, strict=True))
