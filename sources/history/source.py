"""The source `uds`: what the sessions of one principal remember, as sessions, events and findings."""

import time
from collections.abc import Callable
from collections.abc import Sequence
from typing import Final
from typing import TypeVar

from sources.errors import UnknownSchema
from sources.history.mirror import Mirror
from sources.history.mirror import Question
from sources.history.mirrors import Mirrors
from sources.history.records import SCHEMAS
from sources.history.records import Records
from sources.names import nearest
from sources.protocol import Attribute
from sources.protocol import AttributeWords
from sources.protocol import Description
from sources.protocol import Profile
from sources.protocol import Progress
from sources.protocol import Schema
from sources.protocol import Table
from sources.protocol import silent

T = TypeVar("T")

NAME: Final = "uds"
_ORIGINS: Final = {
    "events": "everything that happened in your sessions, in order",
    "findings": "what your sessions found, with the evidence",
    "sessions": "your sessions, open and ended, as far as they are kept",
}


class HistorySource:
    """A `Source` over one principal's history; nobody else must be given it.

    What there is to ask is known without any file; the rows are written for the engine when they are first measured.
    """

    def __init__(
        self,
        records: Records,
        *,
        scope: str,
        mirrors: Mirrors,
        name: str = NAME,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`scope`: the principal. `mirrors`: shared by all principals, and closed by whoever made it."""
        self.name: Final = name
        self.scope: Final = scope
        self._records = records
        self._mirrors = mirrors
        self._clock = clock

    @property
    def kind(self) -> str:
        return "journal"

    @property
    def origin(self) -> str:
        """What it holds, for a person, in one short line."""
        return "what your sessions remember"

    async def schemas(self) -> tuple[Schema, ...]:
        counts = await self._records.counts()
        return tuple(
            Schema(source=self.name, name=name, rows=counts[name], attributes=len(attributes), origin=_ORIGINS[name])
            for name, attributes in SCHEMAS.items()
        )

    async def attributes(self, schema: str) -> tuple[Attribute, ...]:
        return _attributes(schema)

    async def fingerprint(self, schema: str | None = None) -> str:
        if schema is not None:
            _attributes(schema)
        return await self._records.token(schema)

    async def vocabulary(self, schema: str) -> tuple[AttributeWords, ...]:
        _attributes(schema)
        return ()

    async def describe(
        self,
        schema: str,
        attributes: Sequence[str],
        *,
        exact: bool,
        within_s: float,
        progress: Progress = silent,
    ) -> Description:
        _attributes(schema)
        return await self._asked(
            lambda inner, left_s: inner.describe(schema, attributes, exact=exact, within_s=left_s, progress=progress),
            within_s,
        )

    async def profile(
        self, schema: str, attribute: str, *, top: int, within_s: float, progress: Progress = silent
    ) -> Profile:
        _attributes(schema)
        return await self._asked(
            lambda inner, left_s: inner.profile(schema, attribute, top=top, within_s=left_s, progress=progress),
            within_s,
        )

    async def query(
        self, text: str, *, limit: int, offset: int = 0, within_s: float, progress: Progress = silent
    ) -> Table:
        return await self._asked(
            lambda inner, left_s: inner.query(text, limit=limit, offset=offset, within_s=left_s, progress=progress),
            within_s,
        )

    async def _asked(self, question: Question[T], within_s: float) -> T:
        return await self._mirrors.asked(self.scope, self._mirror, question, within_s=within_s)

    def _mirror(self) -> Mirror:
        return Mirror(self._records, name=self.name, scope=self.scope, clock=self._clock)


def _attributes(schema: str) -> tuple[Attribute, ...]:
    """Raises `UnknownSchema`."""
    if schema not in SCHEMAS:
        raise UnknownSchema(schema, nearest(schema, SCHEMAS))
    return SCHEMAS[schema]
