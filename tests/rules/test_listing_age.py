"""A list of schemas whose counts were kept says how old they are."""

import time
from collections.abc import Sequence
from typing import Any

import pytest

from sources.abilities import Look
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
from tools.call import Call
from tools.list_schemas import ListSchemas
from tools.ports import Notes
from tools.ports import Ports

pytestmark = pytest.mark.anyio


class Counted:
    """A source far away that counted its rows some time ago."""

    name = "far"
    kind = "newrelic"
    scope = ""
    origin = "far away"

    def __init__(self, ago_s: float) -> None:
        self._looked_at = time.time() - ago_s

    @property
    def last_look(self) -> Look:
        return Look(window="then to now", queries=("SELECT count(*) FROM A",), looked_at=self._looked_at)

    async def schemas(self) -> tuple[Schema, ...]:
        return (Schema(source=self.name, name="A", rows=5, attributes=0, origin="A"),)

    async def attributes(self, schema: str) -> tuple[Attribute, ...]:
        _ = schema
        return ()

    async def fingerprint(self, schema: str | None = None) -> str:
        return str(schema)

    async def vocabulary(self, schema: str) -> tuple[AttributeWords, ...]:
        _ = schema
        return ()

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


async def _provenance(ago_s: float) -> dict[str, Any]:
    sessions = Sessions(MemoryJournal(clock=time.time), clock=time.time)
    ports = Ports(
        sources=(Counted(ago_s),),
        cache=ResultCache(clock=time.monotonic),
        sessions=sessions,
        notes=Notes(sessions, lambda _uri: None),
        changed=lambda _uri: None,
    )
    return (await ListSchemas(ports).list_schemas(Call(principal="p"))).structured["provenance"]


async def test_counts_that_were_kept_come_with_their_age_window_and_queries() -> None:
    told = await _provenance(42.0)
    assert told["cached"]
    assert 42.0 <= told["age_s"] < 72.0
    assert (told["window"], told["queries"]) == ("then to now", ["SELECT count(*) FROM A"])


async def test_counts_of_just_now_are_not_called_kept() -> None:
    told = await _provenance(-5.0)
    assert (told["cached"], told["age_s"]) == (False, 0.0)
