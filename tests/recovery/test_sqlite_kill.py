"""A process that is killed while it writes: what it acknowledged is there, and nothing has to be repaired."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from state.sqlite.anchors import read_heads
from state.sqlite.file import exclusive
from state.sqlite.journal import SqliteJournal

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")]
_ROOT = Path(__file__).parents[2]
_RUNS = 6
_SESSIONS = 8

_WRITER = """
import asyncio, pathlib, sys, time
sys.path.insert(0, sys.argv[1])
from state.journal import Draft
from state.sqlite.journal import SqliteJournal

async def write():
    journal = SqliteJournal(pathlib.Path(sys.argv[2]), clock=time.time)

    async def keep_writing(name):
        chapter = await journal.read(name)
        head = None if chapter is None else chapter.head
        while True:
            body = {"number": 1 if head is None else head.version + 1}
            draft = Draft(at=0.0, kind="noted", actor="ann", body=body)
            head = await journal.append(name, expected=head, drafts=[draft], expires_at=time.time() + 600)
            sys.stdout.write(f"{name} {head.version} {head.nonce}\\n")
            sys.stdout.flush()
            await journal.touch(name, expires_at=time.time() + 700)

    await asyncio.gather(*(keep_writing(f"s{number}") for number in range(int(sys.argv[3]))))

asyncio.run(write())
"""


def _killed_after(path: Path, lines: int) -> dict[str, tuple[int, str]]:
    """The last version and nonce that was acknowledged of each session."""
    command = [sys.executable, "-P", "-c", _WRITER, str(_ROOT), str(path), str(_SESSIONS)]
    acknowledged: dict[str, tuple[int, str]] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for number, line in enumerate(writer.stdout, start=1):
            if number == lines:
                writer.kill()
            if line.endswith("\n"):  # what it had said by then still counts
                name, version, nonce = line.split()
                acknowledged[name] = int(version), nonce
    return acknowledged


async def test_what_a_killed_process_had_acknowledged_is_there_and_nothing_needs_repair(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    chance = random.Random(7)  # noqa: S311 - when to kill is no secret
    for _ in range(_RUNS):
        acknowledged = _killed_after(path, chance.randint(1, 400))
        journal = SqliteJournal(path, clock=time.time)
        anchors = read_heads(path)
        for name, (version, nonce) in acknowledged.items():
            chapter = await journal.read(name)
            verdict = await journal.verify(name)
            assert chapter is not None
            assert chapter.events[version - 1].nonce == nonce
            assert [event.body["number"] for event in chapter.events] == list(range(1, chapter.head.version + 1))
            assert verdict is not None
            assert verdict.ok, verdict
            assert version <= anchors[name].version <= chapter.head.version
        assert journal.fault() is None
        await journal.aclose()
    with exclusive(path):
        pass  # the dead hold nothing


_LEAVER = """
import asyncio, pathlib, sys, time
sys.path.insert(0, sys.argv[1])
from state.journal import Draft
from state.sqlite.journal import SqliteJournal

async def write():
    journal = SqliteJournal(pathlib.Path(sys.argv[2]), clock=lambda: 1000.0)
    draft = Draft(at=0.0, kind="noted", actor="ann", body={})
    await journal.append("s", expected=None, drafts=[draft], expires_at=2000.0)
    await journal.touch("s", expires_at=3000.0)

asyncio.run(write())
"""


async def test_a_process_that_forgets_to_close_the_journal_still_ends_and_writes_its_touches(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    command = [sys.executable, "-P", "-W", "ignore", "-c", _LEAVER, str(_ROOT), str(path)]
    left = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: ASYNC221 - alone here
    assert (left.returncode, left.stderr) == (0, "")
    journal = SqliteJournal(path, clock=lambda: 1000.0)
    chapter = await journal.read("s")
    await journal.aclose()
    assert chapter is not None
    assert chapter.expires_at == 3000.0
