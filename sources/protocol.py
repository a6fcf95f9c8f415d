"""The Source protocol and the frozen values that cross it: the words of the product, no engine's own.

Text in these values comes out of foreign data: implementations bound its length and strip control characters.
JSON values (`Json`) are already safe for any client: integers beyond 2**53 - 1, NaN, Infinity, decimals that a double
cannot hold, dates and blobs are strings.
"""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Literal
from typing import Protocol

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
"""A value that every JSON client reads back unchanged."""

Method = Literal["exact", "sample", "metadata"]

Progress = Callable[[float, str], None]
"""Told how far a long scan is: a share from 0 to 1 and a short message. Never blocks, never raises."""


def silent(_share: float, _message: str) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How an answer came about."""

    source: str
    queries: tuple[str, ...]
    """The query texts that were run, as the engine got them, each bounded to 2,000 characters."""
    rows_inspected: int
    """Rows the engine had to look at. For a caller's own query: at most this many, where it can stop early."""
    method: Method
    error_bound: float | None = None
    """Half-width of the widest 95 % interval of any share in the answer (0.01 is one percentage point). None: exact."""
    window: str | None = None
    """The time range that was looked at. None: everything."""
    as_of_at: float
    """Wall-clock instant, seconds since 1970, at which the source was asked."""
    truncated: bool = False
    took_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """A named column of a schema, with the engine's own type name."""

    name: str
    type: str
    meaning: str | None = None
    """What its owners wrote about it, bounded. None: nothing, or the source keeps no such words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A named collection of rows."""

    source: str
    name: str
    rows: int | None
    """None: unknown until it is described (counting would need a scan)."""
    attributes: int | None
    """None: unknown until it is described."""
    origin: str
    """Where it lives, for a person: a file pattern or a table, relative to what was configured."""
    first_at: str | None = None
    last_at: str | None = None
    """RFC 3339 range of the time attribute, when it is known without a scan."""
    fault: str | None = None
    """Why it cannot be read. None: it can."""
    meaning: str | None = None
    """What its owners wrote about it, bounded. None: nothing."""
    bytes: int | None = None
    """What its rows take in the source, as the source estimates it. None: it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A 95 % binomial interval, both ends within 0 and 1."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeDescription:
    """What was measured about an attribute, in brief."""

    name: str
    type: str
    null_share: float
    null_interval: Interval | None = None
    """None: `null_share` is exact."""
    distinct: int
    """Distinct non-null values. A lower bound seen in the sample, or an estimate, unless `distinct_is_exact`."""
    distinct_is_exact: bool
    distinct_error: float | None = None
    """Relative error to expect when `distinct` is a sketch estimate over all rows. None: exact, or a lower bound."""
    examples: tuple[Json, ...] = ()
    min: Json = None
    max: Json = None
    semantic_type: str | None = None
    unit: str | None = None
    meaning: str | None = None
    """What its owners wrote about it; not measured. None: nothing."""
    flags: tuple[str, ...] = ()
    """Short snake_case remarks, e.g. `constant`, `all_null`, `unique`, `empty_strings`, `sentinel_values`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A schema with the attributes that were asked for."""

    schema: str
    rows: int
    time_attribute: str | None
    attributes: tuple[AttributeDescription, ...]
    provenance: Provenance
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TopValue:
    value: Json
    rows: int
    """Rows with this value among those inspected (in the sample, when it is one)."""
    share: float
    """Of the inspected rows, nulls included."""
    interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """`low` <= value < `high`; the last bucket includes `high`."""

    low: Json
    high: Json
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A shape of text: digits as 9, upper-case letters as A, lower-case as a, runs collapsed with +."""

    pattern: str
    share: float
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What was measured about one attribute, in full. Fields that make no sense for its type are None."""

    schema: str
    attribute: str
    type: str
    rows: int
    null_share: float
    null_interval: Interval | None = None
    distinct: int
    distinct_is_exact: bool
    distinct_error: float | None = None
    min: Json = None
    max: Json = None
    mean: Json = None
    stddev: float | None = None
    quantiles: dict[str, Json] | None = None
    """Keys p01 p05 p25 p50 p75 p95 p99. For dates and timestamps the values are RFC 3339 text."""
    top_values: tuple[TopValue, ...] = ()
    histogram: tuple[Bucket, ...] | None = None
    formats: tuple[Format, ...] | None = None
    semantic_type: str | None = None
    unit: str | None = None
    flags: tuple[str, ...] = ()
    provenance: Provenance
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of a query."""

    columns: tuple[Attribute, ...]
    rows: tuple[tuple[Json, ...], ...]
    more: bool
    """There are rows behind these; ask again with a larger `offset`."""
    cut: bool = False
    """Some value was too long and was shortened; it ends in an ellipsis."""
    repeatable: bool
    """False when the query calls something like now() or random(): its result must not be cached."""
    schemas: tuple[str, ...]
    """The schemas the query reads, so that its result can be dropped when one of them changes."""
    diagnosis: str | None = None
    """Why the result is empty or suspicious, measured. None: nothing to say."""
    remarks: tuple[str, ...] = ()
    """Sentences about what the rows leave out or how the query was understood; shown as hints."""
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeWords:
    """Short values an attribute was seen to hold: what the words of a question may mean here."""

    attribute: str
    values: tuple[str, ...]
    """Distinct texts without control characters, the most frequent first; of some rows only, so never a measurement."""


class Source(Protocol):
    """One place that holds data. Safe to call from many tasks of one event loop at once.

    Every method may raise `SourceUnreachable`, `AccessDenied` and `QuotaSpent`. A cancelled call stops the work it
    started in the engine. Nothing is cached here: two calls are two measurements.
    """

    @property
    def name(self) -> str:
        """How callers address it; also part of every cache key."""
        ...

    @property
    def kind(self) -> str: ...

    @property
    def scope(self) -> str:
        """Whose eyes it looks with; part of every cache key. Empty: whoever asks gets the same answers."""
        ...

    @property
    def origin(self) -> str:
        """What it holds, for a person, in one short line."""
        ...

    async def schemas(self) -> tuple[Schema, ...]:
        """Every schema, unreadable ones included (with their `fault`), sorted by name. Cheap: no scan of rows."""
        ...

    async def attributes(self, schema: str) -> tuple[Attribute, ...]:
        """The attributes in their own order. Raises `UnknownSchema`. Cheap."""
        ...

    async def fingerprint(self, schema: str | None = None) -> str:
        """A token that changes whenever the rows or the shape of the schema (None: of any schema) may have changed.

        Cheap: microseconds to a few milliseconds. Raises `UnknownSchema`.
        """
        ...

    async def vocabulary(self, schema: str) -> tuple[AttributeWords, ...]:
        """At most about 40 values of each text attribute, for ranking schemas by what is in them.

        Cheap: within about a second, from the first few thousand rows. `()` is a full answer: it adds nothing to the
        names. It is asked behind answers, and never shown as a measurement. Raises `UnknownSchema`.
        """
        ...

    async def describe(
        self,
        schema: str,
        attributes: Sequence[str],
        *,
        exact: bool,
        within_s: float,
        progress: Progress = silent,
    ) -> Description:
        """Measure the named attributes in as few scans as possible.

        `exact=False` answers large schemas from a seeded sample and says so; `exact=True` reads every row.
        Raises `UnknownSchema`, `UnknownAttribute`, `QueryTimeout`, `TooLarge`.
        """
        ...

    async def profile(
        self, schema: str, attribute: str, *, top: int, within_s: float, progress: Progress = silent
    ) -> Profile:
        """Measure one attribute in full. `top`: 0 to 50 values. Raises as `describe`."""
        ...

    async def query(
        self, text: str, *, limit: int, offset: int = 0, within_s: float, progress: Progress = silent
    ) -> Table:
        """Run one read-only statement in the source's own language and return at most `limit` rows from `offset` on.

        Raises `QueryRejected`, `QueryTimeout`, `TooLarge`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimit:
    """A limit that protects the machine, and whether this system can really enforce it."""

    name: str
    value: str
    in_force: bool
    why: str = field(default="")
    """What is missing on this system when it is not in force."""
