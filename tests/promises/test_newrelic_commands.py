"""What `uds-mcp doctor` and `/ready` say of New Relic: reachable, unreachable, a key that is refused."""

import json
import os
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator
from collections.abc import Generator
from collections.abc import Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.streams.text import TextReceiveStream

from server.simulator.accounts import Account
from sources.nrdb.local import LocalNrdb
from tests.nerdgraph_server import simulated
from tests.newrelic_scene import environ
from tests.newrelic_scene import rows

pytestmark = pytest.mark.anyio

_WITHIN_S = 60
_BAD = "NRAK-WRONGWRONGWRONGWRONGWRONGWR"
TROUBLES = [
    pytest.param({"NEW_RELIC_API_KEY": _BAD}, "does not accept the key", id="wrong key"),
    pytest.param({"NEW_RELIC_ACCOUNT_ID": "7"}, "may not query this account", id="foreign account"),
    pytest.param({"NEW_RELIC_REGION": "http://127.0.0.1:9/graphql"}, "gave no usable answer", id="unreachable"),
]


@pytest.fixture(scope="module")
def work() -> Generator[LocalNrdb]:
    table = 'SELECT now()::TIMESTAMP - to_minutes(i::BIGINT) AS "time", i AS n FROM range(50) numbers(i)'
    with rows({"Work": table}) as nrdb:
        yield nrdb


def _command(*arguments: str) -> list[str]:
    script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    assert script is not None, "the project is not installed in this environment"
    return [script, *arguments]


async def _doctor(told: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    with anyio.fail_after(_WITHIN_S):
        ended = await anyio.run_process(_command("doctor", *arguments), env={**os.environ, **told}, check=False)
    shown = (ended.stdout + ended.stderr).decode()
    assert told["NEW_RELIC_API_KEY"] not in shown
    return ended.returncode, shown


@asynccontextmanager
async def _served(told: Mapping[str, str]) -> AsyncGenerator[str]:
    """The address of `/ready` of a server over HTTP."""
    command = _command("serve", "--http", "--port", "0")
    async with await anyio.open_process(command, env={**os.environ, **told}) as server:
        try:
            assert server.stderr is not None
            with anyio.fail_after(_WITHIN_S):
                yield await _announced(TextReceiveStream(server.stderr))
        finally:
            server.terminate()


async def _announced(stderr: TextReceiveStream) -> str:
    shown = ""
    async for text in stderr:
        shown += text
        if found := re.search(r"(http://\S+/ready)", shown):
            return found[1]
    raise AssertionError(shown)


def _ready(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(url, timeout=_WITHIN_S) as answer:  # noqa: S310 - ours
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


async def test_the_doctor_finds_new_relic_well(work: LocalNrdb, tmp_path: Path) -> None:
    async with simulated([Account(id=1, nrdb=work)]) as far:
        code, shown = await _doctor(environ(far, tmp_path))
    assert code == 0, shown
    assert "Work: 50 rows" in shown
    assert "none: New Relic is served" in shown
    assert "bundled sample" not in shown.replace("(default: bundled sample)", "")
    assert "Limits of the engine" not in shown, "no engine is there"


@pytest.mark.parametrize(("trouble", "said"), TROUBLES)
async def test_the_doctor_says_what_is_wrong_with_new_relic(
    work: LocalNrdb, tmp_path: Path, trouble: dict[str, str], said: str
) -> None:
    async with simulated([Account(id=1, nrdb=work)]) as far:
        code, shown = await _doctor({**environ(far, tmp_path), **trouble})
    assert code == 1, shown
    assert said in shown


async def test_a_server_over_new_relic_is_ready_at_little_cost(work: LocalNrdb, tmp_path: Path) -> None:
    async with simulated([Account(id=1, nrdb=work)]) as far, _served(environ(far, tmp_path)) as url:
        for _ in range(5):
            status, body = await anyio.to_thread.run_sync(_ready, url)
            assert (status, body["sources"]) == (200, {"newrelic": "ok"})
        assert len(far.statements) <= 2, "probes come every few seconds"


@pytest.mark.parametrize(("trouble", "said"), TROUBLES)
async def test_a_server_that_cannot_ask_new_relic_is_not_ready(
    work: LocalNrdb, tmp_path: Path, trouble: dict[str, str], said: str
) -> None:
    assert said
    async with simulated([Account(id=1, nrdb=work)]) as far, _served({**environ(far, tmp_path), **trouble}) as url:
        status, body = await anyio.to_thread.run_sync(_ready, url)
    assert status == 503
    assert body["sources"]["newrelic"] == "unreachable"
    assert "NRAK" not in json.dumps(body)
