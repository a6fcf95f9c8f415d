"""Keys that seal rounds of a call: all who share a place agree on them, and a change of keys breaks no call."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any
from typing import cast

import pytest
from mcp.server.request_state import InvalidRequestState

from server.request_keys import KEYS_NAME
from server.request_keys import KeyRing
from server.request_keys import file_keys
from server.request_keys import ring_of
from server.request_keys import shared_keys
from server.settings import read_settings
from state.redis.keys import Keys
from state.sqlite.lock import exclusive

if TYPE_CHECKING:
    from state.redis.wire import Wire

_OLD, _NEW, _OTHER = "a" * 64, "b" * 64, "c" * 64
_DAY_S = 86_400.0
_ROOT = Path(__file__).parents[2]
_READ_IN_A_PROCESS = """
import sys, time
from pathlib import Path
from server.request_keys import file_keys
sys.stdin.readline()
print(*file_keys(Path(sys.argv[1]), now=time.time()))
"""


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class OneValue:
    """As much of Redis as `SET NX` and `GET` need."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    async def call(self, *parts: str, key: str) -> Any:
        assert parts[1] == key
        if parts[0] == "SET":
            assert parts[3:] == ("NX",)
            self.values.setdefault(key, parts[2].encode())
        return self.values.get(key)


def test_the_file_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / KEYS_NAME
    keys = file_keys(path, now=0.0)
    assert file_keys(path, now=0.0) == keys
    assert len(keys) == 1
    assert len(keys[0]) == 64
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    path = tmp_path / KEYS_NAME
    command = [sys.executable, "-c", _READ_IN_A_PROCESS, str(path)]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=_ROOT) for _ in range(4)]

    def read(process: subprocess.Popen[str]) -> str:
        return process.communicate("go\n", timeout=60)[0].strip()

    with ThreadPoolExecutor(len(started)) as waiting:  # so that all are told to go at once
        told = set(waiting.map(read, started))
    assert [each.returncode for each in started] == [0] * len(started)
    assert told == {" ".join(file_keys(path, now=0.0))}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_whoever_comes_second_waits_for_the_keys_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / KEYS_NAME
    with ThreadPoolExecutor(1) as second:
        with exclusive(path):
            keys = second.submit(file_keys, path, now=0.0)
            assert not wait([keys], timeout=0.2).done
            path.write_text(f"{_OLD}\n")
        assert keys.result(timeout=10) == (_OLD,)


def test_after_thirty_days_a_new_key_seals_and_the_old_one_is_still_accepted(tmp_path: Path) -> None:
    path = tmp_path / KEYS_NAME
    first = file_keys(path, now=0.0)
    made_at = path.stat().st_mtime
    assert file_keys(path, now=made_at + 29 * _DAY_S) == first
    renewed = file_keys(path, now=made_at + 31 * _DAY_S)
    assert renewed[1:] == first
    assert renewed[0] != first[0]
    os.utime(path, (made_at, made_at))
    assert len(file_keys(path, now=made_at + 31 * _DAY_S)) == 2  # not ever more of them


def test_what_one_ring_sealed_another_with_the_same_key_reads() -> None:
    assert KeyRing([_NEW, _OLD]).unseal(KeyRing([_OLD]).seal(b"round one")) == b"round one"
    with pytest.raises(InvalidRequestState):
        KeyRing([_OLD]).unseal(KeyRing([_NEW]).seal(b"round one"))


def test_a_ring_that_meets_an_unknown_key_looks_again_and_goes_on_accepting_the_old() -> None:
    renewed = KeyRing([_NEW, _OLD])
    running = KeyRing([_OLD], again=lambda: (_NEW, _OLD))
    before = running.seal(b"before")
    assert running.unseal(renewed.seal(b"after")) == b"after"
    assert running.unseal(before) == b"before"
    with pytest.raises(InvalidRequestState):
        KeyRing([_OLD]).unseal(running.seal(b"sealed with the new one now"))


def test_forged_tokens_make_it_look_no_more_than_once_a_second() -> None:
    clock = Clock()
    looked: list[float] = []

    def again() -> tuple[str, ...]:
        looked.append(clock.now_s)
        return ()

    ring = KeyRing([_OLD], again=again, clock=clock)
    for now_s in (0.0, 0.5, 0.9, 1.1):
        clock.now_s = now_s
        with pytest.raises(InvalidRequestState):
            ring.unseal("v1.forged")
    assert looked == [0.0, 1.1]


def test_a_ring_that_is_given_other_keys_keeps_the_last_ones_only() -> None:
    ring = KeyRing([_OLD])
    before = ring.seal(b"x")
    for number in range(10):
        ring.use([f"{number:064d}"])
    with pytest.raises(InvalidRequestState):
        ring.unseal(before)
    ring.use([_NEW])
    ring.use([_OTHER])
    assert ring.unseal(KeyRing([_NEW]).seal(b"y")) == b"y"


def test_lines_that_are_no_keys_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / KEYS_NAME
    path.write_text(f"# a note\n{_OLD}\n\nshort\n{_OLD}\n")
    assert file_keys(path, now=path.stat().st_mtime) == (_OLD,)


def test_without_a_place_that_can_be_written_a_process_has_keys_of_its_own(tmp_path: Path) -> None:
    settings = read_settings({"UDS_STATE_DIR": str(tmp_path / "state")})
    (tmp_path / "state").write_text("a file where a folder is wanted")
    one, other = ring_of(settings), ring_of(settings)
    assert one.unseal(one.seal(b"x")) == b"x"
    with pytest.raises(InvalidRequestState):
        other.unseal(one.seal(b"x"))


def test_nothing_is_written_when_state_is_kept_in_memory(tmp_path: Path) -> None:
    ring_of(read_settings({"UDS_STATE_DIR": str(tmp_path), "STATE_STORE_TYPE": "memory"}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
async def test_instances_that_share_redis_share_the_keys_of_the_first() -> None:
    redis = cast("Wire", OneValue())
    first = await shared_keys(redis, Keys())
    assert await shared_keys(redis, Keys()) == first
    assert await shared_keys(redis, Keys(prefix="another")) != first


@pytest.mark.anyio
async def test_of_two_instances_that_start_together_the_second_takes_the_keys_of_the_first() -> None:
    class Contested(OneValue):
        async def call(self, *parts: str, key: str) -> Any:
            if parts[0] == "SET":
                self.values.setdefault(key, _OTHER.encode())  # somebody was faster by a hair
            return await super().call(*parts, key=key)

    assert await shared_keys(cast("Wire", Contested()), Keys()) == (_OTHER,)
