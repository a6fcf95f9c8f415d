"""Several processes write to one session of one file: nothing is lost, nothing is there twice, and all in one line."""

import json
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from state.sqlite.journal import SqliteJournal

pytestmark = pytest.mark.anyio
_ROOT = Path(__file__).parents[2]
_PROCESSES = 4
_EACH = 50

_WRITER = """
import asyncio, json, pathlib, sys, time
sys.path.insert(0, sys.argv[1])
from state.journal import Draft, VersionMoved
from state.sqlite.journal import SqliteJournal

async def write():
    journal = SqliteJournal(pathlib.Path(sys.argv[2]), clock=time.time)
    writer, refused, number = sys.argv[3], 0, 0
    print("ready", flush=True)
    sys.stdin.readline()
    while number < int(sys.argv[4]):
        chapter = await journal.read("shared")
        head = None if chapter is None else chapter.head
        draft = Draft(at=0.0, kind="noted", actor="ann", body={"writer": writer, "number": number})
        try:
            await journal.append("shared", expected=head, drafts=[draft], expires_at=time.time() + 600)
            number += 1
        except VersionMoved:
            refused += 1
    await journal.aclose()
    print(json.dumps({"refused": refused}), flush=True)

asyncio.run(write())
"""


def _all_write(path: Path) -> list[int]:
    """How often each was refused."""
    command = [sys.executable, "-P", "-c", _WRITER, str(_ROOT), str(path)]
    writers = [
        subprocess.Popen([*command, f"w{number}", str(_EACH)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(_PROCESSES)
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        told = [writer.communicate(timeout=60)[0] for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
    return [json.loads(each)["refused"] for each in told]


async def test_processes_that_write_to_one_session_lose_nothing_and_write_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    refused = _all_write(path)
    journal = SqliteJournal(path, clock=time.time)
    chapter = await journal.read("shared")
    verdict = await journal.verify("shared")
    await journal.aclose()
    assert chapter is not None
    written = Counter((event.body["writer"], event.body["number"]) for event in chapter.events)
    assert written == {(f"w{writer}", number): 1 for writer in range(_PROCESSES) for number in range(_EACH)}
    assert [event.version for event in chapter.events] == list(range(1, _PROCESSES * _EACH + 1))
    assert len({event.nonce for event in chapter.events}) == _PROCESSES * _EACH
    assert verdict is not None
    assert verdict.ok
    turns = sum(one.body["writer"] != other.body["writer"] for one, other in pairwise(chapter.events))
    assert turns > 2 * _PROCESSES, "one wrote after the other: this proved nothing"
    assert sum(refused) > 0
