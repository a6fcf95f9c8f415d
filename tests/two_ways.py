"""One folder of files, seen twice: as DuckDB schemas, and as event types behind the simulator of NerdGraph.

What a client is told about both is compared fact by fact. Only what NRDB does not have may differ (`timestamp` is
added, other times are numbers or text), and what it counts approximately, within the bound it states.
"""

import contextlib
import math
import time
from collections.abc import AsyncGenerator
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from server.mcp_server import build_server
from server.parts import open_parts
from server.settings import read_settings
from server.simulator.accounts import Account
from sources.nrdb.local import LocalNrdb
from tests.nerdgraph_server import simulated

NUMBERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "FLOAT",
    "DOUBLE",
)
TOLERANCE = 1e-9
"""Relative, of sums of doubles that two engines add up in different orders."""
QUANTILE_SHARE = 0.02
"""How far, as a share of rows, an approximate percentile may lie from the exact one."""


@dataclass(frozen=True, slots=True)
class Both:
    client: Client

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        with anyio.fail_after(120):
            answered = await self.client.call_tool(tool, arguments)
        assert not answered.is_error, (tool, arguments, answered.content)
        assert answered.structured_content is not None
        return answered.structured_content

    async def ask(self, tool: str, **arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The answers over files and over NerdGraph."""
        over_files = await self.call(tool, source="duckdb", **arguments)
        return over_files, await self.call(tool, source="newrelic", **arguments)

    async def described(self, source: str, schema: str, detail: str) -> dict[str, dict[str, Any]]:
        """Every attribute of every page."""
        found: dict[str, dict[str, Any]] = {}
        cursor: dict[str, str] = {}
        while True:
            page = await self.call("describe_schema", source=source, schema=schema, detail=detail, **cursor)
            found |= {each["name"]: each for each in page["attributes"]}
            if "next_cursor" not in page:
                return found
            cursor = {"cursor": page["next_cursor"]}


def _two_minutes_ago() -> float:
    """Rows are of then at the latest: a window ends with the last full minute, and must hold all of them."""
    return time.time() - 120


@contextlib.asynccontextmanager
async def seen_twice(folder: Path, state: Path) -> AsyncGenerator[Both]:
    """One server with both sources over the same files."""
    nrdb = LocalNrdb(folder, clock=_two_minutes_ago)
    try:
        async with simulated([Account(id=1, nrdb=nrdb)]) as far:
            told = {
                "UDS_DATA": str(folder),
                "NEW_RELIC_API_KEY": far.key,
                "NEW_RELIC_ACCOUNT_ID": "1",
                "NEW_RELIC_REGION": far.url,
                "NEW_RELIC_WINDOW": "396d",
                "STATE_STORE_TYPE": "memory",
                "UDS_STATE_DIR": str(state),
            }
            settings = read_settings(told)
            async with open_parts(settings) as parts, Client(build_server(parts, settings)) as client:
                yield Both(client)
    finally:
        nrdb.close()


def differences_of_description(near: dict[str, Any], far: dict[str, Any], rows: int) -> Iterator[str]:
    """What an attribute's description over files says otherwise than that over NerdGraph."""
    name = near["name"]
    if abs(near["null_share"] - far["null_share"]) > TOLERANCE + 1e-6:
        yield f"{name}: null_share {near['null_share']} and {far['null_share']}"
    yield from _differing_distinct(near, far)
    if not near["type"].startswith(NUMBERS):
        return
    for what in ("min", "max"):
        if what in near and not _close(near[what], far.get(what)):
            yield f"{name}: {what} {near[what]} and {far.get(what)}"
    if {"constant", "all_null"} & set(near["flags"]) != {"constant", "all_null"} & set(far["flags"]) and rows:
        yield f"{name}: flags {near['flags']} and {far['flags']}"


def differences_of_profile(near: dict[str, Any], far: dict[str, Any]) -> Iterator[str]:
    """As `differences_of_description`, of a full profile."""
    name = f"{near['schema']}.{near['attribute']}"
    if near["rows"] != far["rows"]:
        yield f"{name}: rows {near['rows']} and {far['rows']}"
    if abs(near["null_share"] - far["null_share"]) > 2e-6:
        yield f"{name}: null_share {near['null_share']} and {far['null_share']}"
    yield from _differing_distinct(near, far)
    if near["type"].startswith(NUMBERS):
        for what in ("min", "max", "mean"):
            if what in near and not _close(near[what], far.get(what)):
                yield f"{name}: {what} {near[what]} and {far.get(what)}"
        yield from _differing_stddev(name, near, far)
        yield from _differing_histogram(name, near.get("histogram"), far.get("histogram"))
    yield from _differing_top(name, near, far)


def _differing_distinct(near: dict[str, Any], far: dict[str, Any]) -> Iterator[str]:
    bound = 0.0 if far["distinct_is_exact"] else far["distinct_error"]
    if near["distinct_is_exact"] and abs(near["distinct"] - far["distinct"]) > bound * near["distinct"]:
        yield f"{near.get('name', near.get('attribute'))}: distinct {near['distinct']} and {far['distinct']} +- {bound}"


def _differing_stddev(name: str, near: dict[str, Any], far: dict[str, Any]) -> Iterator[str]:
    """NRDB divides by the number of values, DuckDB by one less."""
    values = round(near["rows"] * (1 - near["null_share"]))
    if near.get("stddev") is None or values < 2:
        return
    if not _close(near["stddev"] * math.sqrt((values - 1) / values), far.get("stddev"), tolerance=1e-6):
        yield f"{name}: stddev {near['stddev']} and {far.get('stddev')} of {values}"


def _differing_histogram(name: str, near: list[Any] | None, far: list[Any] | None) -> Iterator[str]:
    """Both count every value once; how the range is cut may differ."""
    totals = [sum(bucket["rows"] for bucket in each or []) for each in (near, far)]
    if near is not None and totals[0] != totals[1]:
        yield f"{name}: histogram of {totals[0]} and {totals[1]} rows"


def _differing_top(name: str, near: dict[str, Any], far: dict[str, Any]) -> Iterator[str]:
    """The counts are the same, in the same order; among equal counts either may name another value."""
    counts = [[each["rows"] for each in profile["top_values"] if each["value"] is not None] for profile in (near, far)]
    if counts[0] != counts[1]:
        yield f"{name}: top values {counts[0]} and {counts[1]}"
    if not near["type"].startswith(("VARCHAR", *NUMBERS)):
        return
    sure = {each["value"]: each["rows"] for each in near["top_values"]}
    least = min(sure.values(), default=0)
    for each in far["top_values"]:
        if each["rows"] > least and sure.get(each["value"]) != each["rows"]:
            yield f"{name}: {each['value']!r} {sure.get(each['value'])} and {each['rows']} times"


def _close(near: Any, far: Any, *, tolerance: float = TOLERANCE) -> bool:
    if not isinstance(near, int | float) or not isinstance(far, int | float):
        return near == far
    return abs(near - far) <= tolerance * max(1.0, abs(near), abs(far)) + 1e-9
