"""A whole server whose only data is New Relic, as the product's simulator stands in for it, and a client on it."""

import json
import time
from collections.abc import AsyncGenerator
from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import asynccontextmanager
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp_types import TextContent

from server.mcp_server import build_server
from server.parts import Parts
from server.parts import open_parts
from server.settings import read_settings
from server.simulator.accounts import Account
from sources.nrdb.local import LocalNrdb
from sources.nrql.parse import parse
from tests.nerdgraph_server import Simulated
from tests.nerdgraph_server import simulated

WITHIN_S = 60
Answer = dict[str, Any]

TWO_MINUTES_AGO: Callable[[], float] = lambda: time.time() - 120  # noqa: E731 - a clock
"""Of when the newest rows are: a window ends with the last full minute."""


@contextmanager
def rows(tables: Mapping[str, str], *, clock: Callable[[], float] = TWO_MINUTES_AGO) -> Generator[LocalNrdb]:
    """Event types by name, each a SELECT; distinct values are counted exactly, so that tests can say how many."""
    made = LocalNrdb(tables=tables, clock=clock, approximate=False)
    try:
        yield made
    finally:
        made.close()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Scene:
    client: Client
    far: Simulated
    parts: Parts

    async def ask(self, tool: str, /, **arguments: Any) -> Answer:
        """The answer, which both of its forms carry whole."""
        result, text = await self._called(tool, arguments)
        assert not result.is_error, (tool, arguments, text)
        assert json.loads(text) == result.structured_content
        return json.loads(text)

    async def refused(self, tool: str, /, **arguments: Any) -> str:
        result, text = await self._called(tool, arguments)
        assert result.is_error, (tool, arguments, text)
        return text

    async def _called(self, tool: str, arguments: Answer) -> tuple[Any, str]:
        with anyio.fail_after(WITHIN_S):
            result = await self.client.call_tool(tool, arguments)
        (block,) = result.content
        assert isinstance(block, TextContent)
        return result, block.text

    def asked_since(self, place: int) -> list[str]:
        """The statements that came after so many requests; each of them is NRQL."""
        found = [text for each in self.far.received[place:] for text in each.texts]
        for each in found:
            parse(each)
        return found


def environ(far: Simulated, state: Path, accounts: str = "1", **told: str) -> dict[str, str]:
    """The variables of a server over a simulated account."""
    return {
        "NEW_RELIC_API_KEY": far.key,
        "NEW_RELIC_ACCOUNT_ID": accounts,
        "NEW_RELIC_REGION": far.url,
        "STATE_STORE_TYPE": "memory",
        "UDS_STATE_DIR": str(state),
        **told,
    }


@asynccontextmanager
async def serving(
    accounts: Sequence[Account], state: Path, *, told: Mapping[str, str] | None = None, **simulator: Any
) -> AsyncGenerator[Scene]:
    """`told`: variables beside those of all scenes. `simulator`: arguments of `Simulator`."""
    numbers = ",".join(str(each.id) for each in accounts)
    async with simulated(accounts, **simulator) as far:
        settings = read_settings(environ(far, state, numbers) | dict(told or {}))
        async with open_parts(settings) as parts, Client(build_server(parts, settings)) as client:
            yield Scene(client=client, far=far, parts=parts)


def only(answer: Answer) -> Answer:
    """The one row of a query, by column."""
    (row,) = answer["rows"]
    return dict(zip([each["name"] for each in answer["columns"]], row, strict=True))
