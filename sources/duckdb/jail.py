"""The wall around a worker that DuckDB does not build: nothing is written, nothing is connected to.

On Linux, Landlock takes away every write, every TCP connection and every read outside the mounted files, for good and
for all later threads of the process.
DuckDB's allowed_directories grants writing too, so this wall is what keeps the user's files as they are.
Source: https://docs.kernel.org/userspace-api/landlock.html for the numbers.
"""

import ctypes
import os
import site
import struct
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sources.protocol import EngineLimit

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION_FLAG: Final = 1
_PATH_BENEATH: Final = 1
_NO_NEW_PRIVS: Final = 38
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3

_RIGHTS_BY_VERSION: Final = ((1, 13), (2, 14), (3, 15), (5, 16))
"""From that version on, that many file rights exist; all are handled, only reading is granted."""
_NETWORK_SINCE: Final = 4
_SCOPE_SINCE: Final = 6
_BIND_AND_CONNECT: Final = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 0b11

SYSTEM_READS: Final = (
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/usr/share/zoneinfo",
    "/etc/localtime",
    "/etc/ld.so.cache",
    "/proc/self",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/dev/null",
    "/dev/urandom",
)


def interpreter_reads() -> tuple[str, ...]:
    """Where Python itself, DuckDB and this package are read from."""
    own = str(Path(__file__).resolve().parent.parent)
    installed = sysconfig.get_paths()
    places = {installed["stdlib"], installed["platstdlib"], own, *site.getsitepackages()}
    places.update(entry for entry in sys.path if Path(entry).name in {"site-packages", "dist-packages", "lib-dynload"})
    return tuple(sorted(places))


def jail(readable: Iterable[str]) -> tuple[EngineLimit, ...]:
    """Give up everything but reading `readable` and what Python needs. Call it before any other thread is started."""
    if sys.platform != "linux":
        return _absent("only Linux has Landlock; on this system DuckDB's own lock-down is the only wall")
    try:
        version = _restricted((*readable, *interpreter_reads(), *SYSTEM_READS))
    except OSError as error:
        return _absent(f"this kernel refused Landlock ({error.strerror}); DuckDB's own lock-down is the only wall")
    network = version >= _NETWORK_SINCE
    return (
        EngineLimit(name="read_only_files", value="no write, no read outside the data", in_force=True),
        EngineLimit(
            name="no_network",
            value="no TCP connection",
            in_force=network,
            why="" if network else f"Landlock version {version} cannot; version {_NETWORK_SINCE} (Linux 6.7) can",
        ),
    )


def _absent(why: str) -> tuple[EngineLimit, ...]:
    return (
        EngineLimit(name="read_only_files", value="no write, no read outside the data", in_force=False, why=why),
        EngineLimit(name="no_network", value="no TCP connection", in_force=False, why=why),
    )


def _restricted(readable: Iterable[str]) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    version = _called(libc, _CREATE_RULESET, None, 0, _VERSION_FLAG)
    ruleset = _ruleset(libc, version)
    try:
        for path in readable:
            _allow_reading(libc, ruleset, path)
        if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "NO_NEW_PRIVS was refused")
        _called(libc, _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _ruleset(libc: ctypes.CDLL, version: int) -> int:
    rights = max(count for since, count in _RIGHTS_BY_VERSION if version >= since)
    network = _BIND_AND_CONNECT if version >= _NETWORK_SINCE else 0
    scope = _ABSTRACT_SOCKETS_AND_SIGNALS if version >= _SCOPE_SINCE else 0
    attributes = struct.pack("=QQQ", (1 << rights) - 1, network, scope)
    size = 24 if scope else 16 if network else 8
    return _called(libc, _CREATE_RULESET, attributes[:size], size, 0)


def _allow_reading(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what does not exist cannot be read either
    try:
        rights = _READ_FILE | _READ_DIR if Path(path).is_dir() else _READ_FILE
        _called(libc, _ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, opened), 0)
    finally:
        os.close(opened)


def _called(libc: ctypes.CDLL, number: int, *arguments: int | bytes | None) -> int:
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    answer = int(libc.syscall(ctypes.c_long(number), *passed))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer
