"""What the command line promises about the file with the state: to show, check, copy, move and forget it, plainly."""

import asyncio
import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from server.parts import open_parts
from server.settings import read_settings
from server.state_commands import dashes_last

_WITHIN_S = 60
_RIDDLE = "what walks on four legs in the morning"


def _command() -> str:
    script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    assert script is not None, "the project is not installed in this environment"
    return script


def _run(folder: Path, *arguments: str, text: str = "", code: int | None = 0) -> subprocess.CompletedProcess[str]:
    """The installed command on this state directory; `code`: how it must exit."""
    answer = subprocess.run(
        [_command(), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_WITHIN_S,
        input=text,
        env={"PYTHONUTF8": "1", "UDS_STATE_DIR": str(folder)},
    )
    assert code is None or answer.returncode == code, (answer.stdout, answer.stderr)
    assert "Traceback" not in answer.stderr
    return answer


async def _fill(folder: Path) -> dict[str, str]:
    """Through the parts of a real server, which is then taken down."""
    async with open_parts(read_settings({"UDS_STATE_DIR": str(folder), "HOME": str(folder)})) as parts:
        sessions = parts.sessions
        live = await sessions.open(principal="local", goal="find out why", label="late \x1b[31mflights\x07")
        await sessions.remember(live.handle, principal="local", kind="finding", key=None, value="\x1b]0;owned\x07 fog")
        other = await sessions.open(principal="bob", goal=_RIDDLE)
        closed = await sessions.open(principal="local", label="done with")
        await sessions.close(closed.handle, principal="local")
    return {"live": live.handle, "other": other.handle, "closed": closed.handle}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("filled") / "state"
    return folder, asyncio.run(_fill(folder))


@pytest.fixture
def handles(folder: Path, filled: tuple[Path, dict[str, str]]) -> dict[str, str]:
    shutil.copytree(filled[0], folder)
    return filled[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def _named(answer: subprocess.CompletedProcess[str]) -> set[str]:
    return {each["session"] for each in json.loads(answer.stdout)["sessions"]}


def _spoil(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "journal.db", isolation_level=None)) as connection:
        connection.execute("UPDATE events SET content = replace(content, 'fog', 'fig')")


@pytest.mark.parametrize(
    "arguments",
    [
        ["sessions"],
        ["timeline", "abcdef"],
        ["verify"],
        ["export"],
        ["backup", "copy.db"],
        ["forget", "abcdef", "--yes"],
    ],
)
def test_without_state_it_is_said_so_and_nothing_is_made(folder: Path, arguments: list[str]) -> None:
    answer = _run(folder, *arguments, code=1)
    assert f"no state yet at {folder / 'journal.db'}" in answer.stderr
    assert answer.stdout == ""
    assert not folder.exists()


def test_sessions_are_listed_with_what_they_are_about(folder: Path, handles: dict[str, str]) -> None:
    lines = _run(folder, "sessions").stdout.splitlines()
    assert len(lines) == 3
    (mine,) = [line for line in lines if handles["live"] in line]
    assert "late" in mine
    assert "find out why" in mine
    assert "\x1b" not in "".join(lines)
    assert _named(_run(folder, "sessions", "--json")) == {handles["live"], handles["other"]}
    assert _named(_run(folder, "sessions", "--json", "--all")) == set(handles.values())
    assert _named(_run(folder, "sessions", "--json", "--principal", "bob")) == {handles["other"]}
    assert _run(folder, "sessions", "--principal", "nobody").stdout == "no sessions\n"


def test_a_timeline_tells_every_event_in_a_sentence(folder: Path, handles: dict[str, str]) -> None:
    shown = _run(folder, *dashes_last(["timeline", handles["live"]])).stdout
    head, first, second = shown.splitlines()
    assert handles["live"] in head
    assert "opened" in first
    assert "fog" in second
    assert "\x1b" not in shown
    events = json.loads(_run(folder, "timeline", handles["live"], "--json").stdout)["events"]
    assert [(each["version"], each["kind"]) for each in events] == [(1, "opened"), (2, "finding")]


@pytest.mark.parametrize("name", ["abc", "no-such-session"])
def test_a_name_that_no_session_has_is_told(folder: Path, handles: dict[str, str], name: str) -> None:
    assert name not in handles.values()
    for arguments in (["timeline", name], ["verify", name], ["export", name], ["forget", name, "--yes"]):
        answer = _run(folder, *arguments, code=1)
        assert f"no session is named {name!r}" in answer.stderr


def test_names_that_begin_with_a_dash_are_names() -> None:
    name = "-sYn8XcOI0e-q2vZ9aBcDE"
    assert dashes_last(["timeline", name, "--json"]) == ["timeline", "--json", "--", name]
    assert dashes_last(["export", name, "--all", "abcdef"]) == ["export", "--all", "abcdef", "--", name]
    assert dashes_last(["serve", "--http", "--port", "80"]) == ["serve", "--http", "--port", "80"]


def test_a_session_whose_name_begins_with_a_dash_is_found(folder: Path, handles: dict[str, str]) -> None:
    name = "-sYn8XcOI0e-q2vZ9aBcDE"
    with closing(sqlite3.connect(folder / "journal.db", isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET id = ? WHERE id = ?", (name, handles["live"]))
    assert name in _run(folder, "timeline", name).stdout


def test_verify_is_content_with_what_was_written(folder: Path, handles: dict[str, str]) -> None:
    assert "everything is as it was written" in _run(folder, "verify").stdout
    told = json.loads(_run(folder, "verify", "--json", "--", handles["live"][:8]).stdout)
    assert (told["ok"], told["sessions"], told["events"], told["wrong"]) == (True, 1, 2, [])


def test_verify_names_session_and_event_and_exits_with_1(folder: Path, handles: dict[str, str]) -> None:
    _spoil(folder)
    shown = _run(folder, "verify", code=1).stdout
    assert f"session {handles['live']}, event 2: " in shown
    assert "uds-mcp restore" in shown
    told = json.loads(_run(folder, "verify", "--json", code=1).stdout)
    assert [(each["session"], each["version"]) for each in told["wrong"]] == [(handles["live"], 2)]
    assert _run(folder, "verify", handles["other"]).returncode == 0


def test_what_is_exported_can_be_imported_elsewhere(folder: Path, handles: dict[str, str], tmp_path: Path) -> None:
    exported = _run(folder, "export", "--all")
    assert "exported 3 sessions" in exported.stderr
    new = tmp_path / "new"
    assert "imported 3 sessions" in _run(new, "import", "-", text=exported.stdout).stdout
    assert _named(_run(new, "sessions", "--json", "--all")) == set(handles.values())
    _run(new, "verify")
    kept = tmp_path / "kept.jsonl"
    kept.write_text(_run(folder, "export", "--", handles["live"][:6]).stdout)
    assert "1 were here as they are" in _run(new, "import", str(kept)).stdout
    refused = _run(new, "import", "-", text=exported.stdout.replace("find out why", "find out how"), code=1)
    assert f"session {handles['live']}" in refused.stderr
    assert "cannot be read" in _run(new, "import", str(tmp_path / "nothing"), code=1).stderr


def test_a_bad_session_is_left_out_of_an_export_and_told(folder: Path, handles: dict[str, str]) -> None:
    _spoil(folder)
    answer = _run(folder, "export", code=1)
    assert handles["live"] in answer.stderr
    assert handles["live"] not in answer.stdout
    assert handles["other"] in answer.stdout


def test_a_backup_can_be_restored(folder: Path, handles: dict[str, str], tmp_path: Path) -> None:
    to = tmp_path / "copy.db"
    assert "backed up 3 sessions" in _run(folder, "backup", str(to)).stdout
    assert "nothing is overwritten" in _run(folder, "backup", str(to), code=1).stderr
    _run(folder, "forget", handles["live"], "--yes")
    told = _run(folder, "restore", str(to)).stdout
    assert "restored 3 sessions" in told
    assert "before-restore" in told
    assert "fog" in _run(folder, "timeline", handles["live"]).stdout
    _run(folder, "verify")
    to.write_bytes(to.read_bytes()[:-1])
    assert "nothing was changed" in _run(folder, "restore", str(to), code=1).stderr


@pytest.fixture
def running(folder: Path, handles: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A real server on the same file, which has read it."""
    assert handles
    asked = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    environ = {"PYTHONUTF8": "1", "UDS_STATE_DIR": str(folder), "HOME": str(folder)}
    with subprocess.Popen([_command()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": asked}
        server.stdin.write(json.dumps(message).encode() + b"\n")
        server.stdin.flush()
        assert b'"result"' in server.stdout.readline()
        yield server
        server.stdin.close()
        server.wait(_WITHIN_S)


@pytest.mark.usefixtures("running")
def test_all_but_restore_work_while_a_server_runs(folder: Path, handles: dict[str, str], tmp_path: Path) -> None:
    to = tmp_path / "copy.db"
    _run(folder, "verify")
    _run(folder, "backup", str(to))
    refused = _run(folder, "restore", str(to), code=1)
    assert "open in another process" in refused.stderr
    assert "forgot 1 event" in _run(folder, "forget", handles["other"], "--yes").stdout
    assert _RIDDLE.encode() not in (folder / "journal.db").read_bytes()
    _run(folder, "verify")


def test_forgetting_asks_first(folder: Path, handles: dict[str, str]) -> None:
    refused = _run(folder, "forget", handles["other"], code=2)
    assert "--yes" in refused.stderr
    for answer, code in ((b"n\n", 2), (b"y\n", 0)):
        assert _forget_at_a_terminal(folder, handles["other"], answer) == code
    (line,) = [each for each in _run(folder, "timeline", handles["other"]).stdout.splitlines() if "(forgotten)" in each]
    assert line.split() == ["1", "(forgotten)"]


def _forget_at_a_terminal(folder: Path, name: str, answer: bytes) -> int:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        done = subprocess.run(
            [_command(), "forget", name],
            stdin=theirs,
            capture_output=True,
            check=False,
            timeout=_WITHIN_S,
            env={"PYTHONUTF8": "1", "UDS_STATE_DIR": str(folder)},
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert name.encode() in done.stderr
    assert b"destroyed for good" in done.stderr
    return done.returncode


@pytest.mark.usefixtures("handles")
def test_a_principal_is_forgotten_with_the_name(folder: Path) -> None:
    assert "no session belongs" in _run(folder, "forget", "--principal", "nobody", "--yes", code=1).stderr
    assert "of 1 session, for good" in _run(folder, "forget", "--principal", "bob", "--yes").stdout
    owners = {each["owner"] for each in json.loads(_run(folder, "sessions", "--all", "--json").stdout)["sessions"]}
    assert "bob" not in owners
    assert _RIDDLE.encode() not in (folder / "journal.db").read_bytes()
    verified = _run(folder, "verify").stdout
    assert "forgotten on request: 1" in verified
    assert "(forgotten)" in _run(folder, "sessions", "--all").stdout


@pytest.mark.parametrize(
    "arguments",
    [["timeline"], ["forget"], ["forget", "abcdef", "--principal", "bob"], ["sessions", "--al"], ["import"]],
)
def test_a_wrong_command_line_for_the_state_exits_with_2(folder: Path, arguments: list[str]) -> None:
    assert "usage:" in _run(folder, *arguments, code=2).stderr


def test_a_reader_that_leaves_early_is_no_fault(folder: Path, handles: dict[str, str]) -> None:
    assert handles
    with subprocess.Popen(
        [_command(), "export", "--all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"UDS_STATE_DIR": str(folder)},
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        told = command.stderr.read()
        assert command.wait(_WITHIN_S) == 0
    assert b"Traceback" not in told


def test_what_the_output_cannot_show_is_replaced(folder: Path, handles: dict[str, str]) -> None:
    answer = subprocess.run(
        [_command(), "timeline", handles["live"]],
        capture_output=True,
        check=True,
        timeout=_WITHIN_S,
        env={"PYTHONIOENCODING": "ascii", "UDS_STATE_DIR": str(folder)},
    )
    assert answer.stdout.isascii()
    assert b"fog" in answer.stdout


def test_a_file_that_is_damaged_or_not_ours_is_told_plainly(folder: Path) -> None:
    folder.mkdir()
    (folder / "journal.db").write_bytes(b"no database" * 1_000)
    for arguments in (["sessions"], ["timeline", "abcdef"], ["export"], ["backup", str(folder / "b")]):
        assert "not a database" in _run(folder, *arguments, code=1).stderr
    assert "not a database" in _run(folder, "verify", code=1).stdout
