"""Sessions do not wait for sources."""

import asyncio
from collections.abc import Sequence

import pytest

from sources.errors import SourceUnreachable
from sources.protocol import Attribute
from sources.protocol import AttributeWords
from sources.protocol import Description
from sources.protocol import Profile
from sources.protocol import Progress
from sources.protocol import Schema
from sources.protocol import Table
from sources.protocol import silent
from state.cache import ResultCache
from state.memory import MemoryJournal
from state.sessions import Sessions
from tools.next_steps import next_steps
from tools.ports import Notes
from tools.ports import Ports

pytestmark = pytest.mark.anyio


class Silent:
    """A source at the other end of a line that says nothing, or that it is gone."""

    name = "far"
    kind = "duckdb"
    scope = ""
    origin = "far away"

    def __init__(self, *, gone: bool) -> None:
        self._gone = gone

    async def _nothing(self) -> None:
        if self._gone:
            raise SourceUnreachable("it is gone")
        await asyncio.Event().wait()

    async def schemas(self) -> tuple[Schema, ...]:
        await self._nothing()
        return ()

    async def attributes(self, schema: str) -> tuple[Attribute, ...]:
        raise SourceUnreachable(schema)

    async def fingerprint(self, schema: str | None = None) -> str:
        raise SourceUnreachable(str(schema))

    async def vocabulary(self, schema: str) -> tuple[AttributeWords, ...]:
        raise SourceUnreachable(schema)

    async def describe(
        self, schema: str, attributes: Sequence[str], *, exact: bool, within_s: float, progress: Progress = silent
    ) -> Description:
        raise SourceUnreachable(f"{schema} {attributes} {exact} {within_s} {progress}")

    async def profile(
        self, schema: str, attribute: str, *, top: int, within_s: float, progress: Progress = silent
    ) -> Profile:
        raise SourceUnreachable(f"{schema} {attribute} {top} {within_s} {progress}")

    async def query(
        self, text: str, *, limit: int, offset: int = 0, within_s: float, progress: Progress = silent
    ) -> Table:
        raise SourceUnreachable(f"{text} {limit} {offset} {within_s} {progress}")


@pytest.mark.parametrize("gone", [True, False])
async def test_steps_of_a_session_are_there_while_its_source_is_away_or_silent(gone: bool) -> None:  # noqa: FBT001
    sessions = Sessions(MemoryJournal(clock=lambda: 0.0), clock=lambda: 0.0)
    ports = Ports(
        sources=(Silent(gone=gone),),
        cache=ResultCache(clock=lambda: 0.0),
        sessions=sessions,
        notes=Notes(sessions, lambda _uri: None),
        changed=lambda _uri: None,
    )
    session = await sessions.open(principal="me", goal="look")
    async with asyncio.timeout(5):
        steps = await next_steps(ports, session, patience_s=0.01)
    assert [step.tool for step in steps] == ["list_schemas"]
