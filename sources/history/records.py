"""What a history consists of, and what it must be able to tell: the schemas of `uds` and the protocol behind them."""

from collections.abc import AsyncGenerator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from typing import Protocol

from sources.history.parquet import Row
from sources.protocol import Attribute


def _attributes(text: str) -> tuple[Attribute, ...]:
    pairs = (line.split() for line in text.strip().splitlines())
    return tuple(Attribute(name=name, type=kind) for name, kind in pairs)


SCHEMAS: Final[Mapping[str, tuple[Attribute, ...]]] = {
    # Not `at`: DuckDB reserves the word, so that every query with it would have to quote it.
    "events": _attributes(
        """
        session VARCHAR
        version BIGINT
        happened_at TIMESTAMP
        kind VARCHAR
        key VARCHAR
        schema VARCHAR
        summary VARCHAR
        body VARCHAR
        """
    ),
    "findings": _attributes(
        """
        session VARCHAR
        label VARCHAR
        id VARCHAR
        key VARCHAR
        value VARCHAR
        evidence VARCHAR
        found_at TIMESTAMP
        version BIGINT
        """
    ),
    "sessions": _attributes(
        """
        session VARCHAR
        label VARCHAR
        goal VARCHAR
        status VARCHAR
        parent VARCHAR
        branch_of VARCHAR
        level BIGINT
        opened_at TIMESTAMP
        last_access_at TIMESTAMP
        expires_at TIMESTAMP
        ended_at TIMESTAMP
        events BIGINT
        findings BIGINT
        bytes BIGINT
        """
    ),
}
"""The schemas by name, in the order of their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is new about one session."""

    ended: bool
    """It will never change again, unless it is forgotten."""
    session: Row
    findings: tuple[Row, ...]
    """All of them."""
    events: tuple[Row, ...]
    """Those that no page held before, oldest first."""


class Rewritten(Exception):
    """Something that was read is gone or was changed: forget all of it, and begin a new reading."""


class Reading(Protocol):
    """One reader's way through a history."""

    def pages(self) -> AsyncGenerator[Page]:
        """Each open session, and each one that ended since the last time.

        Used by one task at a time; after an error or a break in the middle the reading is of no use any more.
        Raises `Rewritten`, `SourceUnreachable`, `QuotaSpent`.
        """
        ...


class Records(Protocol):
    """One principal's history. Safe to call from many tasks. Raises `SourceUnreachable`, `QuotaSpent`."""

    async def counts(self) -> Mapping[str, int | None]:
        """Rows of each schema. None: counting would take long. Cheap."""
        ...

    async def token(self, schema: str | None) -> str:
        """Changes whenever a row of the schema (None: of any) may have changed. Cheap."""
        ...

    def reading(self) -> Reading:
        """A new reading, from the beginning."""
        ...
