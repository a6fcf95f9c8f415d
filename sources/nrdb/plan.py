"""What a statement becomes: a few SQL texts, and all that is needed to make an NRDB answer of their rows."""

from collections.abc import Mapping
from typing import Literal

from sources.nrdb.measures_shaped import Read
from sources.nrql.tree import node

Row = tuple[object, ...]
Shape = Literal["rows", "aggregate", "keyset", "types"]


@node
class Step:
    """One SQL text to run; the steps of a plan do not depend on each other."""

    name: str
    sql: str
    known: "tuple[Row, ...] | None" = None
    """The rows, where they are known without running anything; `sql` is empty then."""


@node
class Cell:
    """One column of the answer."""

    key: str
    """How the rows call it."""
    read: Read | None = None
    placeholder: object = None
    """What an empty bucket of time says, where that is not what no rows give."""
    is_spread: bool = False
    """Its parts stand beside it, too: an apdex."""


@node
class Buckets:
    """Equal parts of a window; the last one ends with it."""

    begin_ms: int
    end_ms: int
    width_ms: int
    count: int

    def edges_ms(self, place: int) -> tuple[int, int]:
        begin = self.begin_ms + place * self.width_ms
        return begin, min(begin + self.width_ms, self.end_ms)


@node
class Told:
    """The window in words, as NRDB repeats it."""

    since: str
    until: str
    compare_with: str | None = None


@node
class Plan:
    """A translated statement."""

    steps: tuple[Step, ...]
    schemas: tuple[str, ...]
    """The event types that are read and exist."""
    event_types: tuple[str, ...]
    """Those that FROM names, whether they exist or not."""
    repeatable: bool
    """False: the window moves with the clock."""
    window: tuple[int, int] | None
    """Milliseconds since 1970, the end not included. None: all rows."""
    shape: Shape
    cells: tuple[Cell, ...] = ()
    facets: tuple[str, ...] = ()
    """What the facets are called."""
    buckets: Buckets | None = None
    compare_ms: int | None = None
    """How much earlier the window is that the answer is compared with."""
    whole_rows: bool = False
    """All attributes were asked for: those a row does not have are left out."""
    told: Told = Told(since="60 MINUTES AGO", until="NOW")


Rows = Mapping[str, "list[Row]"]
"""By name of step."""
