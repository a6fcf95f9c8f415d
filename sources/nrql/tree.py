"""The tree of an NRQL statement: frozen values, each with its place in the text. Nothing is read or written here.

Names of functions and units are kept in one spelling (functions lower case, units singular; `list[0]` is kept as the
`getfield` it is short for), names of attributes as they were written without their backticks. Statements that differ
in spans and backticks only are equal, and printed alike.
"""

from dataclasses import dataclass
from dataclasses import field
from typing import Literal
from typing import TypeAlias
from typing import TypeVar
from typing import dataclass_transform

Unit = Literal["millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year"]

UNIT_MS: dict[Unit, int] = {
    "millisecond": 1,
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
    "month": 2_592_000_000,
    "quarter": 7_862_400_000,
    "year": 31_536_000_000,
}
"""Length of each unit; a month counts 30 days, a quarter 91, a year 365, as New Relic documents it."""

BinaryOperator = Literal["+", "-", "*", "/", "%", "=", "!=", "<", "<=", ">", ">=", "and", "or", "like", "rlike"]


class Span(tuple[int, int]):
    """Offsets into the text, in characters, the end not included: `Span((start, end))`.

    Every value has one, so it is no `NamedTuple`, which takes 0.26 us to make; this takes 0.08.
    """

    __slots__ = ()

    @property
    def start(self) -> int:
        return self[0]

    @property
    def end(self) -> int:
        return self[1]


NOWHERE = Span((0, 0))
"""The place of what was not read but made."""

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def node(made: type[T]) -> type[T]:
    """A frozen, slotted dataclass to whoever reads or checks the code.

    At run time nothing stops an assignment: the guard of a frozen dataclass costs 0.25 us for each field of each value,
    which was a third of the time that reading a statement takes. Keywords are for whoever makes a few; reading and
    translating, which make thousands, give the fields in their order, at half the cost (0.16 us less a value).
    """
    return dataclass(slots=True, unsafe_hash=True)(made)


@node
class Name:
    """An attribute (or event type), dots included; `quoted` when it stood in backticks."""

    name: str
    span: Span = field(default=NOWHERE, compare=False)
    quoted: bool = field(default=False, compare=False)


@node
class Text:
    value: str
    span: Span = field(default=NOWHERE, compare=False)


@node
class Number:
    """`text` is as written, so that no digit is lost; `value` an int when it was written as one."""

    text: str
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def value(self) -> int | float:
        return int(self.text) if self.text.isdigit() else float(self.text)


@node
class Truth:
    value: bool
    span: Span = field(default=NOWHERE, compare=False)


@node
class Null:
    span: Span = field(default=NOWHERE, compare=False)


@node
class Duration:
    """`5 minutes`; also the argument of `rate(count(*), 1 minute)` and a window of TIMESERIES."""

    amount: Number
    unit: Unit
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def ms(self) -> float:
        return float(self.amount.value) * UNIT_MS[self.unit]


@node
class Star:
    span: Span = field(default=NOWHERE, compare=False)


@node
class Argument:
    """`label` is set for `width: 10`, and for nothing else."""

    value: "Expression"
    label: str | None = None


@node
class Call:
    """A function. In `filter(count(*), WHERE x)` and `percentage(...)` the condition is an argument of kind `Where`."""

    function: str
    """Lower case."""
    arguments: tuple[Argument, ...]
    span: Span = field(default=NOWHERE, compare=False)


@node
class Where:
    """`WHERE x [AS 'label']` inside a function, such as `filter`, `percentage`, `cases`, `funnel`."""

    condition: "Expression"
    alias: str | None = None
    span: Span = field(default=NOWHERE, compare=False)


@node
class Unary:
    operator: Literal["-", "+", "not"]
    operand: "Expression"
    span: Span = field(default=NOWHERE, compare=False)


@node
class Binary:
    """`a NOT LIKE b` is `Unary(not, Binary(like))`, and printed as it was written."""

    operator: BinaryOperator
    left: "Expression"
    right: "Expression"
    span: Span = field(default=NOWHERE, compare=False)


@node
class In:
    needle: "Expression"
    options: "tuple[Expression, ...] | Nested"
    negated: bool = False
    span: Span = field(default=NOWHERE, compare=False)


@node
class Is:
    """`a IS [NOT] NULL | TRUE | FALSE`."""

    operand: "Expression"
    what: Literal["null", "true", "false"]
    negated: bool = False
    span: Span = field(default=NOWHERE, compare=False)


@node
class Nested:
    """A statement in parentheses: in FROM, in JOIN, in `IN (...)`, or as a value."""

    query: "Query"
    span: Span = field(default=NOWHERE, compare=False)


Expression: TypeAlias = (
    Name | Text | Number | Truth | Null | Duration | Star | Call | Where | Unary | Binary | In | Is | Nested
)


@node
class Selected:
    """One thing of SELECT, FACET or WITH, with its `AS`."""

    value: Expression
    alias: str | None = None
    span: Span = field(default=NOWHERE, compare=False)


@node
class Join:
    kind: Literal["inner", "left"]
    """`JOIN` alone is an inner one."""
    query: Nested
    alias: str | None
    left: Expression
    """Of `ON left = right`; with `ON key` alone both are the same name. Else an attribute, or a function of some."""
    right: Name
    span: Span = field(default=NOWHERE, compare=False)


@node
class Facet:
    items: tuple[Selected, ...]
    """`FACET CASES(...)` is one item: a `Call` of `cases` with `Where` arguments."""
    order_by: "Order | None" = None
    span: Span = field(default=NOWHERE, compare=False)


@node
class Order:
    value: Expression
    descending: bool
    span: Span = field(default=NOWHERE, compare=False)


@node
class Limit:
    rows: int | Literal["max"]
    span: Span = field(default=NOWHERE, compare=False)


@node
class Moment:
    """A point in time as SINCE and UNTIL name it.

    `ago`: a `Duration` before now. `at`: a `Number` of epoch milliseconds or a date in a `Text`. `word`: `now`,
    `today`, `yesterday at 12:30`, `this week`, `last month`, a weekday and the like, lower case.
    """

    kind: Literal["ago", "at", "word"]
    value: Duration | Number | Text | str
    span: Span = field(default=NOWHERE, compare=False)


@node
class Timeseries:
    """`width`: a `Duration`, `auto`, `max`, or None for TIMESERIES alone. `slide_by` as `width`, None without it."""

    width: Duration | Literal["auto", "max"] | None
    slide_by: Duration | Literal["auto", "max"] | None = None
    span: Span = field(default=NOWHERE, compare=False)


@node
class Query:
    """One statement. Clauses are kept by what they mean, not in the order they came."""

    select: tuple[Selected, ...]
    sources: tuple[Name | Nested | Call, ...]
    """Event types, or one nested statement; a `Call` is `lookup(table)`, only ever sent on, never run here."""
    source_alias: str | None = None
    join: Join | None = None
    variables: tuple[Selected, ...] = ()
    """`WITH aparse(...) AS (a, b)` and `WITH x AS y`; several names stand comma-separated in `alias`."""
    where: Expression | None = None
    facet: Facet | None = None
    order_by: tuple[Order, ...] = ()
    limit: Limit | None = None
    offset: Limit | None = None
    since: Moment | None = None
    until: Moment | None = None
    compare_with: Moment | None = None
    """Always `ago`."""
    timeseries: Timeseries | None = None
    timezone: str | None = None
    metric_format: str | None = None
    """Of `WITH METRIC_FORMAT '...'`; only ever sent on, never run here."""
    extrapolate: bool = False
    predict: tuple[Selected, ...] | None = None
    """PREDICT and its arguments, as far as they are read; only ever sent on, never run here."""
    span: Span = field(default=NOWHERE, compare=False)


@node
class Show:
    """`SHOW EVENT TYPES [SINCE] [UNTIL]`, and other SHOW statements by their words."""

    what: str
    """Lower case: `event types`."""
    since: Moment | None = None
    until: Moment | None = None
    span: Span = field(default=NOWHERE, compare=False)


Statement: TypeAlias = Query | Show
