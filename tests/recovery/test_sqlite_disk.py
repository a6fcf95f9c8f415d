"""Disks that are full and files that change under us: told in time, never answered wrongly, and over when they are."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from state.errors import StateUnavailable
from state.journal import Draft
from state.journal import Event
from state.sqlite.journal import SqliteJournal

pytestmark = pytest.mark.anyio
_ROOT = Path(__file__).parents[2]
_FLIPS = 150

_FULL = """
import asyncio, pathlib, resource, sys, time
sys.path.insert(0, sys.argv[1])
from state.errors import StateUnavailable
from state.journal import Draft
from state.sqlite import writer
from state.sqlite.journal import SqliteJournal

async def fill():
    writer.TICK_S = 0.01
    path = pathlib.Path(sys.argv[2])
    journal = SqliteJournal(path, clock=lambda: 1000.0)

    async def grow(head):
        draft = Draft(at=0.0, kind="noted", actor="ann", body={"text": "x" * 3000})
        return await journal.append("s", expected=head, drafts=[draft], expires_at=2000.0)

    head = await grow(None)
    size = pathlib.Path(f"{path}-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 400_000, resource.RLIM_INFINITY))
    try:
        while True:
            head = await grow(head)
    except StateUnavailable as refusal:
        print(refusal)
        print(journal.fault() == str(refusal))
    chapter = await journal.read("s")
    print(chapter.head == head, len(chapter.events) == head.version, head.version > 3)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    until = time.monotonic() + 0.2  # ten times as long as it takes to look again
    while journal.fault() is not None and time.monotonic() < until:
        await asyncio.sleep(0)
    print(journal.fault() is not None)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    head = await grow(head)
    print(journal.fault(), (await journal.verify("s")).ok)
    await journal.aclose()

asyncio.run(fill())
"""


@pytest.mark.skipif(os.name != "posix", reason="files cannot be limited there")
def test_a_full_disk_is_told_with_what_to_do_loses_nothing_and_is_over_when_there_is_room(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", _FULL, str(_ROOT), str(tmp_path / "journal.db")]
    filled = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert filled.stderr == ""
    told, *rest = filled.stdout.splitlines()
    assert told.startswith(f"{tmp_path / 'journal.db'} cannot be written, so nothing was: the disk ")
    assert rest == ["True", "True True True", "True", "None True"]


async def _all_events(path: Path) -> dict[str, tuple[Event, ...]]:
    """By session; those that cannot be read are left out, and so are those that are not found."""
    found: dict[str, tuple[Event, ...]] = {}
    try:
        journal = SqliteJournal(path, clock=lambda: 1000.0)
    except StateUnavailable:
        return found
    for number in range(6):
        try:
            chapter = await journal.read(f"s{number}")
        except StateUnavailable:
            assert journal.fault() is not None
            continue
        if chapter is not None:
            found[f"s{number}"] = chapter.events
    await journal.aclose()
    return found


async def test_a_bit_that_flips_anywhere_in_the_file_never_makes_an_answer_wrong(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path, clock=lambda: 1000.0)
    for number in range(6):
        drafts = [Draft(at=1.0, kind="noted", actor="ann", body={"n": n, "text": "some text " * 20}) for n in range(6)]
        await journal.append(f"s{number}", expected=None, drafts=drafts, expires_at=2000.0)
    await journal.aclose()
    good = await _all_events(path)
    assert len(good) == 6
    content = path.read_bytes()
    chance = random.Random(11)  # noqa: S311 - where to flip is no secret
    noticed = 0
    for number in range(_FLIPS):
        place = chance.randrange(len(content))
        flipped = tmp_path / f"flipped-{number}" / "journal.db"
        _write(flipped, content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :])
        found = await _all_events(flipped)
        for session_id, events in found.items():
            assert events == good[session_id], f"byte {place}"
        noticed += len(found) < len(good)
    assert noticed > _FLIPS // 10, "hardly a flip hit anything that is read: this proved nothing"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)


async def test_a_file_that_is_cut_off_is_told_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path, clock=lambda: 1000.0)
    draft = Draft(at=1.0, kind="noted", actor="ann", body={"text": "x" * 50_000})
    await journal.append("s", expected=None, drafts=[draft], expires_at=2000.0)
    await journal.aclose()
    for length in (path.stat().st_size - 1, 20_000, 4_096, 100, 0):
        os.truncate(path, length)
        with pytest.raises(StateUnavailable, match="is damaged"):
            SqliteJournal(path, clock=lambda: 1000.0)
