"""Workers that are killed are replaced while the others go on, and nobody outlives the one that watches over them."""

import contextlib
import os
import select
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from collections.abc import Generator
from contextlib import closing
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp import MCPError
from mcp_types import CallToolResult

from tests.redis_server import RedisServer
from tests.redis_server import redis_binary
from tests.uds_process import UdsProcess

_WITHIN_S = 30.0
_GONE_WITHIN_S = 2.0
_ENDLESS = "SELECT count(*) FROM range(1000000000000) AS numbers(i) WHERE hash(i) = 7"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes where only Linux lists them")


@dataclass(frozen=True, slots=True)
class Child:
    """A process below the one that watches, held by a descriptor that becomes readable when it ends."""

    pid: int
    descriptor: int

    def is_gone(self, *, within_s: float) -> bool:
        return bool(select.select([self.descriptor], [], [], max(0.0, within_s))[0])


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def _workers(serving: UdsProcess) -> list[int]:
    return _children(serving.pid)


@contextmanager
def _held(pids: list[int]) -> Generator[list[Child]]:
    held = [Child(pid, os.pidfd_open(pid)) for pid in pids]
    try:
        yield held
    finally:
        for each in held:
            os.close(each.descriptor)


@contextmanager
def _crew(folder: Path, *, workers: int = 2, environ: dict[str, str] | None = None) -> Generator[UdsProcess]:
    serving = UdsProcess(folder, environ or {}, arguments=("--workers", str(workers)))
    try:
        serving.start()
        yield serving
    finally:
        serving.stop()


def _until(is_so: Callable[[], bool], serving: UdsProcess) -> None:
    """Bounded, and looking as seldom as costs nothing."""
    deadline_s = time.monotonic() + _WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline_s, serving.log[-2_000:]
        select.select([], [], [], 0.02)


def _all_gone(children: list[Child], *, within_s: float) -> bool:
    deadline_s = time.monotonic() + within_s
    return all(each.is_gone(within_s=deadline_s - time.monotonic()) for each in children)


async def _told(serving: UdsProcess, tool: str, **arguments: object) -> CallToolResult:
    with anyio.fail_after(_WITHIN_S):
        async with Client(f"{serving.address}/mcp") as client:
            return await client.call_tool(tool, arguments)


async def _told_meanwhile(serving: UdsProcess, session: str) -> set[str]:
    """Remember over connections of their own, so that both workers are told some, until eight keys are acknowledged.

    A worker that has not met the session while Redis was there says that it does not know it.
    """
    acknowledged: set[str] = set()
    while len(acknowledged) < 8:
        key = f"k{len(acknowledged)}"
        kept = await _told(serving, "remember", session=session, kind="finding", key=key, value=key)
        if kept.is_error:
            assert "not known here" in str(kept.content)
        else:
            acknowledged.add(key)
    return acknowledged


async def _keys(serving: UdsProcess, session: str) -> set[str]:
    """Of the findings that are there."""
    told = await _told(serving, "recall", session=session)
    assert told.structured_content is not None
    findings: list[dict[str, Any]] = told.structured_content["findings"]
    return {each["key"] for each in findings}


@pytest.mark.anyio
async def test_a_worker_that_is_killed_is_replaced_and_nothing_that_was_acknowledged_is_lost(tmp_path: Path) -> None:
    with _crew(tmp_path) as serving:
        opened = await _told(serving, "open_session", goal="outlives any worker")
        assert opened.structured_content is not None
        session = opened.structured_content["session"]
        before = _workers(serving)
        for number, worker in enumerate(before):
            kept = await _told(serving, "remember", session=session, kind="finding", key=f"k{number}", value=number)
            assert not kept.is_error
            os.kill(worker, signal.SIGKILL)
            _until(lambda gone=worker: gone not in _workers(serving) and len(_workers(serving)) == 2, serving)
        told = await _told(serving, "recall", session=session)
        assert told.structured_content is not None
        assert len(told.structured_content["findings"]) == len(before)
        assert serving.log.count("ended with signal 9") == 2
        assert serving.stop() == 0


@pytest.mark.anyio
async def test_clients_that_come_while_a_worker_is_replaced_are_answered(tmp_path: Path) -> None:
    """None is refused: the socket of the worker that died is kept open and holds them until the next one serves."""
    with _crew(tmp_path) as serving:
        os.kill(_workers(serving)[0], signal.SIGKILL)
        for _ in range(6):
            assert not (await _told(serving, "list_schemas")).is_error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_all_are_gone_within_two_seconds(tmp_path: Path, number: signal.Signals) -> None:
    with _crew(tmp_path, workers=3) as serving:
        workers = _workers(serving)
        engines = [engine for worker in workers for engine in _children(worker)]
        with _held([serving.pid, *workers]) as servers, _held(engines) as theirs:
            assert len(theirs) >= len(workers)
            os.kill(serving.pid, number)
            assert _all_gone(servers, within_s=_GONE_WITHIN_S)
            assert _all_gone(theirs, within_s=1.0)  # they end when the pipe of their server closes
            assert "Traceback" not in serving.log
            assert serving.stop() == 0


@pytest.mark.anyio
async def test_asked_to_stop_while_queries_run_all_are_gone_within_two_seconds(tmp_path: Path) -> None:
    with _crew(tmp_path) as serving, _held([serving.pid, *_workers(serving)]) as all_of_them:

        async def query() -> None:
            async with Client(f"{serving.address}/mcp") as client:
                with contextlib.suppress(MCPError):  # cut off, or told just before
                    await client.call_tool("run_query", {"query": _ENDLESS})

        with anyio.fail_after(_WITHIN_S):
            async with anyio.create_task_group() as calling:
                calling.start_soon(query)
                await anyio.to_thread.run_sync(_until, lambda: _is_busy(serving), serving)
                os.kill(serving.pid, signal.SIGTERM)
                assert await anyio.to_thread.run_sync(lambda: _all_gone(all_of_them, within_s=_GONE_WITHIN_S))
                calling.cancel_scope.cancel()
        assert "Traceback" not in serving.log


def _is_busy(serving: UdsProcess) -> bool:
    """Whether an engine has used more of the processor than starting takes."""
    engines = [engine for worker in _workers(serving) for engine in _children(worker)]
    return any(_worked_s(engine) > 1.5 for engine in engines)


def _worked_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_workers_notice_that_the_one_that_watches_was_killed(tmp_path: Path) -> None:
    with _crew(tmp_path) as serving, _held(_workers(serving)) as workers:
        serving.kill()
        assert _all_gone(workers, within_s=_GONE_WITHIN_S)


def test_a_frozen_worker_does_not_keep_the_others_from_stopping(tmp_path: Path) -> None:
    with _crew(tmp_path) as serving, _held([serving.pid, *_workers(serving)]) as all_of_them:
        os.kill(all_of_them[1].pid, signal.SIGSTOP)
        os.kill(serving.pid, signal.SIGTERM)
        assert _all_gone(all_of_them, within_s=_GONE_WITHIN_S + 0.2)


def test_workers_that_cannot_start_say_why_once_each_and_end_it_all(tmp_path: Path) -> None:
    """A file that is no journal is for the operator to decide about; starting again would not help."""
    state = tmp_path / "state"
    state.mkdir()
    with closing(sqlite3.connect(state / "journal.db")) as foreign:
        foreign.execute("CREATE TABLE somebody_elses (x)")
    serving = UdsProcess(tmp_path, {}, arguments=("--workers", "2"))
    serving.launch()
    with _held([serving.pid]) as (watching,):
        assert watching.is_gone(within_s=_WITHIN_S)
    assert serving.stop() == 1
    assert 1 <= serving.log.count("is not a journal of uds-mcp") <= 2
    assert "listening" not in serving.log


@pytest.mark.anyio
@pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed")
async def test_workers_that_share_redis_lose_nothing_that_either_was_told_while_it_was_away(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis", options=("--appendonly", "yes", "--appendfsync", "always"))
    redis.start()
    try:
        with _crew(tmp_path, environ={"STATE_STORE_TYPE": "redis", "REDIS_URL": redis.url}) as serving:
            opened = await _told(serving, "open_session", goal="outlives Redis")
            assert opened.structured_content is not None
            session = opened.structured_content["session"]
            redis.kill()
            with anyio.fail_after(_WITHIN_S):
                wanted = await _told_meanwhile(serving, session)
            redis.start()
            with anyio.fail_after(_WITHIN_S):
                while await _keys(serving, session) != wanted:
                    pass  # each look is a call, and takes its time
    finally:
        redis.kill()


def test_workers_that_die_again_and_again_are_given_up_with_an_exit_code(tmp_path: Path) -> None:
    with _crew(tmp_path) as serving, _held([serving.pid]) as (watching,):
        while not watching.is_gone(within_s=0.0):
            with contextlib.suppress(OSError):  # it went meanwhile
                for worker in _workers(serving):
                    os.kill(worker, signal.SIGKILL)
            watching.is_gone(within_s=0.02)
        assert serving.stop() == 1
        assert "cannot be kept running" in serving.log
