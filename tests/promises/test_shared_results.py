"""A server that was just started answers what an earlier one measured, while the files are as they were."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp import StdioServerParameters

pytestmark = pytest.mark.anyio

_WITHIN_S = 60
_ROWS = "name,port,kept_at\n" + "".join(
    f"boat {number},port {number % 3},2024-01-0{number % 9 + 1}\n" for number in range(50)
)


@asynccontextmanager
async def _server(state: Path, **environ: str) -> AsyncGenerator[Client]:
    """A process of its own, as a host starts one."""
    script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    assert script is not None
    ours = {**os.environ, "UDS_STATE_DIR": str(state), "STATE_STORE_TYPE": "sqlite", **environ}
    with anyio.fail_after(_WITHIN_S):
        async with Client(StdioServerParameters(command=script, env=ours)) as client:
            yield client


async def _asked(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    assert answer.structured_content is not None
    return answer.structured_content


async def _described(client: Client, schema: str = "boats") -> dict[str, Any]:
    return await _asked(client, "describe_schema", schema=schema)


async def _once(state: Path, data: Path, **environ: str) -> dict[str, Any]:
    """What one server says that is started, asked and stopped."""
    async with _server(state, UDS_DATA=str(data), **environ) as client:
        answer = await _described(client)
        await _kept(client)
        return answer


async def _kept(client: Client) -> None:
    """Until what was measured is stored behind the answers."""
    while True:
        shared = (await _asked(client, "cache", action="status")).get("shared")
        if shared is None or shared["stored"] + shared["hits"] + shared["errors"] > 0:
            return
        await asyncio.sleep(0)


def _facts(answer: dict[str, Any]) -> dict[str, Any]:
    """All but how it came about just now."""
    fresh = {"cached", "age_s", "tier"}
    return {**answer, "provenance": {name: told for name, told in answer["provenance"].items() if name not in fresh}}


def _how(answer: dict[str, Any]) -> tuple[bool, str | None]:
    return answer["provenance"]["cached"], answer["provenance"].get("tier")


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Where state is kept, and where the rows are."""
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "boats.csv").write_text(_ROWS)
    os.utime(rows / "boats.csv", (1.7e9, 1.7e9))
    return tmp_path / "state", rows


async def test_the_second_server_answers_from_the_file_and_tells_the_age(places: tuple[Path, Path]) -> None:
    first = await _once(*places)
    async with _server(places[0], UDS_DATA=str(places[1])) as client:
        second = await _described(client)
        third = await _described(client)
        counted = await _asked(client, "cache", action="status")
    assert _how(first) == (False, None)
    assert _how(second) == (True, "shared")
    assert 0 < second["provenance"]["age_s"] < _WITHIN_S
    assert _facts(second) == _facts(first)
    assert _how(third) == (True, "memory")
    assert third["provenance"]["age_s"] >= second["provenance"]["age_s"]
    assert (counted["memory"]["loads"], counted["shared"]["hits"]) == (0, 1)


async def test_a_file_that_changed_is_measured_anew(places: tuple[Path, Path]) -> None:
    state, rows = places
    await _once(state, rows)
    with (rows / "boats.csv").open("a") as file:
        file.write("one more,port 9,2024-02-01\n")
    answer = await _once(state, rows)
    assert _how(answer) == (False, None)
    assert answer["rows"] == 51


async def test_a_rewrite_that_keeps_size_and_time_is_noticed(places: tuple[Path, Path]) -> None:
    state, rows = places
    await _once(state, rows)
    (rows / "boats.csv").write_text(_ROWS.replace("port 2", "quay 2"))
    os.utime(rows / "boats.csv", (1.7e9, 1.7e9))
    answer = await _once(state, rows)
    assert _how(answer) == (False, None)
    assert "quay 2" in answer["attributes"][1]["examples"]


async def test_other_rows_of_the_same_name_never_see_the_answers(places: tuple[Path, Path], tmp_path: Path) -> None:
    state, rows = places
    await _once(state, rows)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy2(rows / "boats.csv", other / "boats.csv")
    assert _how(await _once(state, other)) == (False, None)
    assert _how(await _once(state, rows)) == (True, "shared")


def _gone(path: Path) -> None:
    for place in path.parent.glob("results.db*"):
        place.unlink()


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 500)


def _folder(path: Path) -> None:
    _gone(path)
    path.mkdir()


@pytest.mark.parametrize("broken", [_gone, _garbage, _folder])
async def test_without_a_good_file_answers_are_measured_as_ever(places: tuple[Path, Path], broken: Any) -> None:
    state, rows = places
    first = await _once(state, rows)
    broken(state / "results.db")
    again = await _once(state, rows)
    assert _how(again) == (False, None)
    ours = {"took_ms", "as_of"}
    facts = [
        {**_facts(each), "provenance": {name: told for name, told in each["provenance"].items() if name not in ours}}
        for each in (first, again)
    ]
    assert facts[0] == facts[1]


async def test_two_servers_at_once_share_what_either_measured_and_what_either_declared_outdated(
    places: tuple[Path, Path],
) -> None:
    state, rows = places
    async with _server(state, UDS_DATA=str(rows)) as one, _server(state, UDS_DATA=str(rows)) as other:
        assert _how(await _described(one)) == (False, None)
        await _kept(one)
        assert _how(await _described(other)) == (True, "shared")
        held = await _described(other)
        await _asked(one, "cache", action="invalidate", schema="boats")
        measured = await _described(one)
        assert _how(measured) == (False, None)
        heard = held
        while heard["provenance"]["as_of"] == held["provenance"]["as_of"]:
            heard = await _described(other)
        assert heard["provenance"]["as_of"] >= measured["provenance"]["as_of"]
    assert _how(await _once(state, rows)) == (True, "shared")


async def test_what_was_declared_outdated_is_measured_anew_by_the_next_server(places: tuple[Path, Path]) -> None:
    state, rows = places
    await _once(state, rows)
    async with _server(state, UDS_DATA=str(rows)) as client:
        await _asked(client, "cache", action="invalidate", pattern="*/boats")
    assert _how(await _once(state, rows)) == (False, None)


async def test_without_a_cache_or_with_state_in_memory_there_is_no_such_file(places: tuple[Path, Path]) -> None:
    state, rows = places
    for environ in ({"CACHE_TTL": "0"}, {"STATE_STORE_TYPE": "memory"}):
        assert _how(await _once(state, rows, **environ)) == (False, None)
    assert not (state / "results.db").exists()


async def test_what_is_asked_of_ones_own_history_stays_in_the_process(places: tuple[Path, Path]) -> None:
    state, rows = places
    async with _server(state, UDS_DATA=str(rows)) as client:
        await _asked(client, "open_session", goal="a secret goal")
        await _asked(client, "run_query", query="select goal, label from sessions", source="uds")
        await _described(client)
        await _kept(client)
    async with _server(state, UDS_DATA=str(rows)) as client:
        again = await _asked(client, "run_query", query="select goal, label from sessions", source="uds")
    assert again["provenance"].get("tier") is None
    for place in state.glob("results.db*"):
        held = place.read_bytes()
        assert b"secret goal" not in held
        assert b"source:uds" not in held, "the tag of such an answer"
