"""The command line says what it does, does it, and says plainly what it cannot do."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import StdioServerParameters

import server
from server.demo import show
from server.settings import read_settings

_WITHIN_S = 30


def _run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The installed command with only these settings."""
    script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    assert script is not None, "the project is not installed in this environment"
    return subprocess.run(
        [script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_WITHIN_S,
        stdin=subprocess.DEVNULL,
        env={"PYTHONUTF8": "1", "HOME": os.environ["HOME"], **environ},
    )


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_version_is_the_version_of_the_package() -> None:
    answer = _run("--version")
    assert (answer.returncode, answer.stdout) == (0, f"uds-mcp {server.__version__}\n")


def test_help_names_every_command_and_setting() -> None:
    answer = _run("--help")
    assert answer.returncode == 0
    for word in ("stdio", "serve", "demo", "doctor", "examples:"):
        assert word in answer.stdout
    for row in read_settings({}).described():
        assert f"\n  {row.name}\n" in answer.stdout
    assert max(len(line) for line in answer.stdout.splitlines()) <= 100


@pytest.mark.parametrize("command", [[], ["doctor"], ["demo"], ["serve", "--http"]])
def test_every_command_tells_all_faults_of_the_settings_and_exits_with_2(command: list[str]) -> None:
    answer = _run(*command, SESSION_TTL="soon", UDS_WORKERS="99", STATE_STORE_TYPE="redis")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "3 settings are not allowed" in answer.stderr
    for told in ("SESSION_TTL=soon", "UDS_WORKERS=99", "REDIS_URL=not set", "STATE_STORE_TYPE is redis", "1 to 8"):
        assert told in answer.stderr


def test_serve_without_a_transport_says_what_to_add() -> None:
    answer = _run("serve")
    assert answer.returncode == 2
    assert "--http" in answer.stderr


@pytest.mark.parametrize("arguments", [["bogus"], ["serve", "--http", "--port", "65536"], ["serve", "--http", "--ho"]])
def test_a_wrong_command_line_exits_with_2(arguments: list[str]) -> None:
    answer = _run(*arguments)
    assert answer.returncode == 2
    assert "usage:" in answer.stderr


def test_a_port_in_use_is_a_clear_error(taken_port: int) -> None:
    answer = _run("serve", "--http", "--port", str(taken_port))
    assert answer.returncode == 1
    assert f"port {taken_port}" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_misspelt_variable_is_told() -> None:
    answer = _run("doctor", UDS_DTA="/somewhere")
    assert answer.returncode == 0
    assert "UDS_DTA is not a setting" in answer.stderr


def test_doctor_shows_settings_sources_limits_and_state(tmp_path: Path) -> None:
    state = tmp_path / "state" / "deeper"
    answer = _run("doctor", UDS_STATE_DIR=str(state), REDIS_URL="redis://:hunter2@cache.example/0")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    for row in read_settings({}).described():
        assert row.name in answer.stdout
    assert "flights" in answer.stdout
    assert "✓ ready to serve" in answer.stdout
    assert str(state) in answer.stdout
    assert "hunter2" not in answer.stdout + answer.stderr
    assert list(tmp_path.iterdir()) == []  # nothing it tried is left behind


def test_doctor_answers_programs_in_json() -> None:
    answer = _run("doctor", "--json")
    told = json.loads(answer.stdout)
    assert (answer.returncode, told["ok"]) == (0, True)
    assert told["versions"]["uds-mcp"] == server.__version__
    assert {"flights", "airlines"} <= {schema["schema"] for schema in told["sources"][0]["schemas"]}
    assert told["limits"]
    assert all(limit["in_force"] or limit["why"] for limit in told["limits"])


def test_doctor_exits_with_1_when_nothing_can_be_read(tmp_path: Path) -> None:
    answer = _run("doctor", UDS_DATA=str(tmp_path))
    assert answer.returncode == 1
    assert "✗ not ready to serve" in answer.stdout


def test_doctor_exits_with_1_when_state_cannot_be_written() -> None:
    unwritable = Path("/proc/uds") if sys.platform == "linux" else Path("/dev/null/uds")
    answer = _run("doctor", UDS_STATE_DIR=str(unwritable))
    assert answer.returncode == 1
    assert f"✗ {unwritable}" in answer.stdout


@pytest.mark.slow
def test_demo_shows_a_whole_exploration_without_a_terminal() -> None:
    answer = _run("demo")
    assert answer.returncode == 0, answer.stderr
    for call in ("open_session", "list_schemas", "describe_schema", "profile_attribute", "run_query", "remember"):
        assert call in answer.stdout
    assert answer.stdout.count("as a host would") == 2, "a second server goes on where the first left off"
    assert "hash chain verified" in answer.stdout
    assert "from cache" in answer.stdout
    assert "\x1b[" not in answer.stdout  # colour is for terminals
    done = re.search(r"Done in ([\d.]+) s", answer.stdout)
    assert done is not None
    assert float(done[1]) < 15


def test_demo_says_clearly_that_the_server_did_not_start(capsys: pytest.CaptureFixture[str]) -> None:
    shown = show(StdioServerParameters(command=sys.executable, args=["-c", "raise SystemExit(3)"]))
    told = capsys.readouterr().err
    assert not shown
    assert told.startswith("uds-mcp demo: ")
    assert "doctor" in told
    assert "Traceback" not in told
