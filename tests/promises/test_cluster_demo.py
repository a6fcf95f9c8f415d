"""The cluster demo shows two servers with one memory, and fails when anything of it was lost."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.redis_server import redis_binary

_WITHIN_S = 120

pytestmark = pytest.mark.slow


def _run(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    assert script is not None, "the project is not installed in this environment"
    return subprocess.run(
        [script, "cluster-demo", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_WITHIN_S,
        env={"PATH": path} if path else None,
    )


def _who_answered(told: str) -> set[str]:
    return set(re.findall(r"answered by (\w+) in [\d,.]+ ms", told))


def test_two_servers_with_one_file_answer_in_turn_and_survive_a_kill() -> None:
    answer = _run("--store", "sqlite")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert _who_answered(answer.stdout) == {"one", "two"}
    assert "kill -9 server one" in answer.stdout
    assert answer.stdout.count("both servers know all") >= 2
    assert "hash chain verified" in answer.stdout
    assert "uds-mcp timeline" in answer.stdout
    assert "nothing was lost" in answer.stdout


@pytest.mark.skipif(redis_binary() is None, reason="redis-server is not installed")
def test_two_servers_that_share_redis_go_on_without_it_and_bring_together_what_each_kept() -> None:
    answer = _run()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert _who_answered(answer.stdout) == {"one", "two"}
    without = answer.stdout.partition("Redis stops")[2].partition("Redis starts")[0]
    assert without.count(" ms, degraded") == 5
    assert "both servers know all 7 findings" in answer.stdout
    assert "nothing was lost" in answer.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="a program is found by more than PATH there")
def test_without_redis_it_says_what_to_install_and_what_else_can_be_seen() -> None:
    answer = _run(path="/nonexistent")
    assert answer.returncode == 1
    assert "redis-server is not installed here" in answer.stderr
    assert "--store sqlite" in answer.stderr
    assert "Traceback" not in answer.stderr
