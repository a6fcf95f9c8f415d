"""Scenes with the APM agent in this very process, which it changes for good: each is to be run in one of its own.

    python -P tests/apm_scenes.py NAME

with the variables of `tests.apm_sent`. What a scene saw is printed as JSON.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from collections.abc import Generator
from collections.abc import Mapping
from contextlib import asynccontextmanager
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from server.settings import read_settings
from server.telemetry import begin
from server.telemetry import counted

if TYPE_CHECKING:
    from mcp import Client

_SETTINGS = read_settings(os.environ)
_TELEMETRY = begin(_SETTINGS)
_ENDLESS = "SELECT count(*) FROM range(1000000000000) AS numbers(i) WHERE hash(i) = 7"


@asynccontextmanager
async def _client() -> AsyncGenerator["Client"]:
    """In memory, so that the tools run in tasks of the client's."""
    from mcp import Client  # noqa: PLC0415 - the agent comes first

    from server.mcp_server import build_server  # noqa: PLC0415
    from server.parts import open_parts  # noqa: PLC0415

    async with (
        open_parts(_SETTINGS) as parts,
        counted(_TELEMETRY, parts),
        Client(build_server(parts, _SETTINGS, telemetry=_TELEMETRY)) as client,
    ):
        yield client


async def defect() -> Any:
    """A tool fails on a defect whose text holds a value."""
    from sources.duckdb.source import DuckDBSource  # noqa: PLC0415

    async def broken(*_: Any, **__: Any) -> Any:
        value = "PLANTED-VALUE"
        try:
            int(value)
        except ValueError as fault:
            raise RuntimeError(f"cannot read {value}") from fault

    DuckDBSource.describe = broken
    async with _client() as client:
        return (await client.call_tool("describe_schema", {"schema": "flights"})).is_error


async def cancelled() -> Any:
    """Of two calls that wait for one load the first goes away, and so does one that keeps the engine busy."""
    async with _client() as client:
        first, second = (asyncio.create_task(_described(client)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        begun = asyncio.Event()

        async def heard(progress: float, total: float | None, message: str | None) -> None:
            _ = (progress, total, message)
            begun.set()

        busy = asyncio.create_task(client.call_tool("run_query", {"query": _ENDLESS}, progress_callback=heard))
        answered = await second
        await begun.wait()
        busy.cancel()
        await asyncio.wait([first, busy])
        after = await client.call_tool("run_query", {"query": "SELECT 1"})
        return [answered, after.is_error]


async def _described(client: "Client") -> bool:
    return (await client.call_tool("describe_schema", {"schema": "flights"})).is_error


async def outlived() -> Any:
    """What began in one transaction goes on when that is over, though not forgotten."""
    from newrelic import agent as untyped  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs]

    from server.telemetry_agent import start  # noqa: PLC0415

    newrelic: Any = untyped
    agent = start()
    assert agent is not None
    over = asyncio.Event()

    async def going_on() -> None:
        await over.wait()
        with agent.transaction("second"):
            pass

    with agent.transaction("first"):
        kept = newrelic.current_transaction()
        going = asyncio.create_task(going_on())
        await asyncio.sleep(0)
    over.set()
    await going
    return kept is not None


async def spans() -> Any:
    """The SDK's own spans reach whoever set up OpenTelemetry."""
    from opentelemetry import trace  # noqa: PLC0415

    seen: list[dict[str, Any]] = []

    class Recorder:
        """As much of a provider and its tracer as the SDK uses."""

        def get_tracer(self, *_: Any, **__: Any) -> "Recorder":
            return self

        @contextmanager
        def start_as_current_span(self, name: str, **more: Any) -> Generator[trace.Span]:
            attributes: Mapping[str, Any] = more.get("attributes") or {}
            seen.append({"name": name, **attributes})
            yield trace.INVALID_SPAN

    recorder: Any = Recorder()
    trace.set_tracer_provider(recorder)
    async with _client() as client:
        await _described(client)
    return seen


def main(name: str) -> None:
    scene = {"defect": defect, "cancelled": cancelled, "outlived": outlived, "spans": spans}[name]
    seen = asyncio.run(scene())
    if _TELEMETRY is not None:
        _TELEMETRY.end()
    sys.stdout.write(f"{json.dumps(seen)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
