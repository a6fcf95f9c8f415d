"""Several servers share sessions while they are killed and frozen: what was promised holds all the same."""

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.chaos_load import Load
from tests.chaos_load import Record
from tests.chaos_load import loaded
from tests.chaos_load import opened
from tests.invariants import broken
from tests.invariants import converged
from tests.invariants import endings
from tests.uds_process import UdsProcess
from tests.uds_process import uds_processes

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")]
SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
_SECONDS = 6.0


async def test_processes_that_share_a_state_file_tell_one_history_though_they_are_killed(tmp_path: Path) -> None:
    print(f"CHAOS_SEED={SEED}")  # noqa: T201 - shown when the test fails
    environ = {"STATE_STORE_TYPE": "sqlite", "UDS_STATE_DIR": str(tmp_path / "state")}
    servers = [UdsProcess(tmp_path / f"server-{number}", environ) for number in range(3)]
    with uds_processes(servers):
        addresses = [each.address for each in servers]
        sessions = await opened(addresses[0], 2)
        record = Record()
        load = Load(addresses=addresses, sessions=sessions, clients=6, seconds=_SECONDS, seed=SEED, within_s=2.0)
        running = asyncio.create_task(loaded(load, record))
        await _hurt(servers, random.Random(SEED))  # noqa: S311 - when to kill is no secret
        await running
        await converged(addresses, sessions, within_s=20)
        ends = await endings(addresses, sessions)
    assert broken(record, ends) == []
    assert len(record.acknowledged) > 50, record.outcomes()
    assert record.outcomes().get("lost"), "no fault was felt"


async def _hurt(servers: list[UdsProcess], chance: random.Random) -> None:
    for number in range(3):
        await asyncio.sleep(0.4 + chance.random() * 0.4)
        hurt = chance.choice(servers)
        if number == 1:
            hurt.freeze()
            await asyncio.sleep(0.3)
            hurt.thaw()
        else:
            hurt.kill()
            await asyncio.to_thread(hurt.start)
