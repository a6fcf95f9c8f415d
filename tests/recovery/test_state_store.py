"""What a server does when the place for its state is damaged, newer, foreign, read-only or not to be had."""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from server.doctor_state import examine_state
from server.parts import open_parts
from server.settings import Settings
from server.settings import read_settings
from server.state_store import StateRefused
from server.state_store import journal_path

pytestmark = pytest.mark.anyio
_BY_ROOT = "permissions do not bind the superuser"


def _settings(folder: Path, **environ: str) -> Settings:
    return read_settings({"UDS_STATE_DIR": str(folder), **environ})


async def _filled(settings: Settings, sessions: int = 20) -> list[str]:
    async with open_parts(settings) as parts:
        handles: list[str] = []
        for number in range(sessions):
            handle = (await parts.sessions.open(principal="local", goal=f"goal {number}")).handle
            for key in range(20):
                await parts.sessions.remember(
                    handle, principal="local", kind="context", key=f"k{key}", value=f"value {key} " + "x" * 400
                )
            handles.append(handle)
    return handles


async def _known(settings: Settings, handles: list[str]) -> tuple[dict[str, int], str | None]:
    """How many keys each session that is left still holds, and what the server says about its state."""
    async with open_parts(settings) as parts:
        listed = await parts.sessions.of(principal="local", limit=1_000)
        return {each.handle: len(each.context) for each in listed if each.handle in handles}, parts.state_notice()


async def test_what_was_remembered_is_there_after_a_restart(tmp_path: Path) -> None:
    settings = _settings(tmp_path / "state")
    handles = await _filled(settings)
    known, notice = await _known(settings, handles)
    assert (known, notice) == (dict.fromkeys(handles, 20), None)
    assert examine_state(settings).fault is None


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(16 * 1024))


def _spoil_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"no database at all")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_cut, _overwrite, _spoil_header, _empty])
async def test_a_damaged_file_is_kept_aside_and_what_is_good_is_served(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    settings = _settings(tmp_path / "state")
    path = journal_path(settings)
    handles = await _filled(settings)
    damage(path)
    damaged = path.read_bytes()
    assert examine_state(settings).fault is not None
    assert path.read_bytes() == damaged, "looking must not repair"
    known, notice = await _known(settings, handles)
    if damage is _overwrite:  # SQLite notices this only when it reads that part, so the next start is what repairs it
        assert notice is not None
        assert "is damaged" in notice
        known, notice = await _known(settings, handles)
    assert notice is not None
    assert "carried over" in notice
    assert any(each.read_bytes() == damaged for each in path.parent.glob("journal.db.damaged-*"))
    assert examine_state(settings).fault is None
    assert len(known) <= len(handles)
    async with open_parts(settings) as parts:
        fresh = await parts.sessions.open(principal="local")
        assert (await parts.sessions.get(fresh.handle, principal="local")).version == 1


async def test_a_file_of_a_newer_release_is_refused_and_not_touched(tmp_path: Path) -> None:
    settings = _settings(tmp_path / "state")
    await _filled(settings, 1)
    path = journal_path(settings)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StateRefused, match="newer"):
        async with open_parts(settings):
            pass
    command = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    assert command is not None
    environ = {"HOME": os.environ["HOME"], "UDS_STATE_DIR": str(settings.state_dir)}
    ran = await asyncio.to_thread(
        subprocess.run, [command], env=environ, capture_output=True, text=True, input="", timeout=30, check=False
    )
    assert ran.returncode == 1
    assert "newer release" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert path.read_bytes() == before


async def test_a_foreign_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    with closing(sqlite3.connect(journal_path(settings))) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.commit()
    before = journal_path(settings).read_bytes()
    with pytest.raises(StateRefused, match="not a journal"):
        async with open_parts(settings):
            pass
    assert journal_path(settings).read_bytes() == before


async def test_a_place_where_no_folder_can_be_made_leaves_sessions_in_memory_and_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    settings = _settings(tmp_path / "state")
    object.__setattr__(settings, "state_dir", blocked / "state")
    async with open_parts(settings) as parts:
        notice = parts.state_notice()
        assert notice is not None
        assert "memory only" in notice
        opened = await parts.sessions.open(principal="local")
        assert (await parts.sessions.get(opened.handle, principal="local")).handle == opened.handle


async def test_memory_writes_nothing_to_disk(tmp_path: Path) -> None:
    settings = _settings(tmp_path / "state", STATE_STORE_TYPE="memory")
    await _filled(settings, 1)
    assert not (tmp_path / "state").exists()


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason=_BY_ROOT)
async def test_a_read_only_file_can_be_read_and_says_that_it_cannot_be_changed(tmp_path: Path) -> None:
    settings = _settings(tmp_path / "state")
    handles = await _filled(settings, 2)
    for each in (tmp_path / "state").iterdir():
        each.chmod(0o400)
    (tmp_path / "state").chmod(0o500)
    try:
        known, notice = await _known(settings, handles)
        assert known == dict.fromkeys(handles, 20)
        assert notice is not None
        assert "read-only" in notice
    finally:
        (tmp_path / "state").chmod(0o700)


async def test_the_doctor_tells_of_damaged_files_that_were_put_aside(tmp_path: Path) -> None:
    settings = _settings(tmp_path / "state")
    await _filled(settings, 2)
    _spoil_header(journal_path(settings))
    async with open_parts(settings):
        pass
    examined = examine_state(settings)
    assert examined.fault is None
    (aside,) = examined.aside
    assert json.dumps(str(aside)).count("damaged-") == 1


async def test_a_bit_that_flips_in_what_was_remembered_is_noticed_and_told_and_repaired_at_the_next_start(
    tmp_path: Path,
) -> None:
    settings = _settings(tmp_path / "state")
    handles = await _filled(settings, 3)
    with closing(sqlite3.connect(journal_path(settings))) as connection:
        flipped = "UPDATE events SET content = replace(content, 'value 7', 'value 6') WHERE n = 2 AND version = 9"
        assert connection.execute(flipped).rowcount == 1
        connection.execute("DELETE FROM checkpoints")
        connection.commit()
    known, notice = await _known(settings, handles)
    assert sorted(known.values()) == [20, 20], "the others are served"
    assert notice is not None
    assert "event 9" in notice.casefold()
    known, notice = await _known(settings, handles)
    assert sorted(known.values()) == [7, 20, 20], "what came before the flipped bit is good"
    assert notice is not None
    assert "carried over" in notice
    assert (await _known(settings, handles)) == (known, None)


async def test_while_another_server_uses_a_damaged_file_its_good_part_is_served_from_it(tmp_path: Path) -> None:
    settings = _settings(tmp_path / "state")
    handles = await _filled(settings)
    async with open_parts(settings) as parts:
        await parts.sessions.get(handles[0], principal="local")
        _overwrite(journal_path(settings))
        await _known(settings, handles)
        known, notice = await _known(settings, handles)
        assert notice is not None
        assert "damaged" in notice
        assert 0 < len(known) <= len(handles)
