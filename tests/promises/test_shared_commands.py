"""What an operator sees of sessions in Redis: doctor, sessions, timeline and verify, through the command."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from state.journal import Checkpoint
from state.journal import Origin
from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.journal import RedisJournal
from state.redis.keys import Keys
from state.sessions import Sessions
from state.sqlite.journal import SqliteJournal
from tests.redis_server import RedisServer
from tests.redis_server import free_port
from tests.redis_server import redis_binary
from tests.redis_server import redis_server

pytestmark = pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed")
COMMAND = [str(Path(sys.executable).parent / "uds-mcp")]


@pytest.fixture
def redis(tmp_path: Path) -> Generator[RedisServer]:
    with redis_server(tmp_path / "redis", options=["--appendonly", "yes"]) as server:
        yield server


def run(url: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "STATE_STORE_TYPE": "redis", "REDIS_URL": url, "UDS_STATE_DIR": str(folder)}
    return subprocess.run([*COMMAND, *arguments], env=environ, capture_output=True, text=True, timeout=60, check=False)


def kept(redis: RedisServer, values: int = 3) -> str:
    """A session with findings, and its handle."""

    async def keep() -> str:
        wire = open_wire(parse(f"{redis.url}?socket_timeout=5"))
        journal = RedisJournal(wire, keys=Keys(), clock=time.time, origin=secrets.token_hex(4))
        sessions = Sessions(journal, clock=time.time)
        handle = (await sessions.open(principal="local", goal="why so late", label="trip")).handle
        for value in range(values):
            await sessions.remember(handle, principal="local", kind="finding", key=None, value=f"seen {value}")
        await journal.aclose()
        await wire.aclose()
        return handle

    return asyncio.run(keep())


def test_sessions_are_listed_and_shown_event_by_event(redis: RedisServer, tmp_path: Path) -> None:
    handle = kept(redis)
    listed = run(redis.url, tmp_path, "sessions")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert all(told in listed.stdout for told in (handle, "trip - why so late"))
    (told,) = json.loads(run(redis.url, tmp_path, "sessions", "--json").stdout)["sessions"]
    assert (told["session"], told["version"], told["goal"], told["ended_at"]) == (handle, 4, "why so late", None)
    shown = run(redis.url, tmp_path, "timeline", handle[:8])
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:]] == ["1", "2", "3", "4"]
    assert run(redis.url, tmp_path, "timeline", "nobody").returncode == 1


def test_histories_are_verified_and_the_one_that_was_changed_is_named(redis: RedisServer, tmp_path: Path) -> None:
    handle = kept(redis)
    good = run(redis.url, tmp_path, "verify")
    assert (good.returncode, "1 sessions with 4 events" in good.stdout) == (0, True)
    redis.ask("LSET", f"uds:{{s}}:e:{handle}", "1", redis_record(redis, handle, 1).replace("seen 0", "seen 9"))
    bad = run(redis.url, tmp_path, "verify", handle)
    assert bad.returncode == 1
    assert f"session {handle}, event 2" in bad.stdout


def redis_record(redis: RedisServer, handle: str, place: int) -> str:
    asked = ["redis-cli", "-p", str(redis.port), "--raw", "LINDEX", f"uds:{{s}}:e:{handle}", str(place)]
    return subprocess.run(asked, capture_output=True, check=True).stdout[:-1].decode("latin-1")


def test_what_works_on_files_only_says_so(redis: RedisServer, tmp_path: Path) -> None:
    refused = run(redis.url, tmp_path, "backup", str(tmp_path / "copy.db"))
    assert refused.returncode == 2
    assert "STATE_STORE_TYPE is redis" in refused.stderr


def test_the_doctor_tells_how_redis_is(redis: RedisServer, tmp_path: Path) -> None:
    good = json.loads(run(redis.url, tmp_path, "doctor", "--json").stdout)
    assert (good["ok"], good["redis"]["fault"], good["redis"]["warnings"]) == (True, None, [])
    redis.ask("CONFIG", "SET", "appendonly", "no")
    redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    warned = run(redis.url, tmp_path, "doctor")
    assert warned.returncode == 0
    assert "appendonly is off" in warned.stdout
    assert "maxmemory-policy is allkeys-lru" in warned.stdout


def test_the_doctor_warns_of_a_master_that_would_go_on_alone(redis: RedisServer, tmp_path: Path) -> None:
    with redis_server(tmp_path / "replica", options=["--replicaof", "127.0.0.1", str(redis.port)]) as replica:
        deadline = time.monotonic() + 10
        while b"master_link_status:up" not in replica.ask("INFO", "replication"):
            assert time.monotonic() < deadline
        assert "min-replicas-to-write is 0" in run(redis.url, tmp_path, "doctor").stdout
        redis.ask("CONFIG", "SET", "min-replicas-to-write", "1")
        told = json.loads(run(redis.url, tmp_path, "doctor", "--json").stdout)["redis"]
        assert (told["replicas"], told["warnings"]) == (1, [])


def test_the_doctor_tells_what_to_do_about_a_redis_that_is_away_or_refuses(redis: RedisServer, tmp_path: Path) -> None:
    away = run(f"redis://127.0.0.1:{free_port()}/0", tmp_path, "doctor")
    assert away.returncode == 1
    assert "The server starts without it" in away.stdout
    refused = run(redis.url.replace("redis://", "redis://nobody:hunter2@"), tmp_path, "doctor")
    assert refused.returncode == 1
    assert "Check the user of REDIS_URL" in refused.stdout
    assert "hunter2" not in refused.stdout + refused.stderr


def test_the_doctor_finds_what_waits_for_another_redis(redis: RedisServer, tmp_path: Path) -> None:
    other = tmp_path / "away" / "uds-0000000" / "journal.db"

    async def leave() -> None:
        journal = SqliteJournal(other, clock=time.time)
        origin: Any = Origin(
            owner="local",
            key=None,
            checkpoint=Checkpoint(version=3, nonce="n", state=b"{}"),
            expires_at=time.time() + 60,
        )
        await journal.adopt("left-behind", origin)
        await journal.aclose()

    asyncio.run(leave())
    told = run(redis.url, tmp_path, "doctor")
    assert f"{other}: sessions wait here for another REDIS_URL" in told.stdout
