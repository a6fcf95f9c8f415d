"""Who has the file open: shared by all who use it, exclusive for who puts another in its place.

Only advice, and only where the system knows `flock`; elsewhere nobody is held up.
"""

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from state.errors import StateBusy

_LOOK_AGAIN_S: Final = 0.02


class InUse(StateBusy):
    """Other processes have the file open."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is open in another process. End the uds-mcp servers that use it (also those that an editor or "
            "assistant started), then try again.",
            retry_after_s=5.0,
        )


class Hold:
    """A lock that is held until `release`, or until the process ends."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def share(path: Path, *, within_s: float = 5.0) -> Hold:
    """Tell others that the file at `path` is in use. Raises `InUse` while somebody has it for themselves."""
    return _held(path, within_s, alone=False)


@contextmanager
def exclusive(path: Path, *, within_s: float = 0.0) -> Generator[None]:
    """Nobody else has the file at `path` open meanwhile. Raises `InUse`."""
    hold = _held(path, within_s, alone=True)
    try:
        yield
    finally:
        hold.release()


def _held(path: Path, within_s: float, *, alone: bool) -> Hold:
    descriptor = _lock_file(path)
    if descriptor is None:
        return Hold(None)
    until = time.monotonic() + within_s
    while not _locked(descriptor, alone=alone):
        if time.monotonic() >= until:
            os.close(descriptor)
            raise InUse(path)
        time.sleep(_LOOK_AGAIN_S)
    return Hold(descriptor)


def _lock_file(path: Path) -> int | None:
    """None: there are no such locks, or it can neither be made nor read, as in a folder that cannot be written."""
    if sys.platform == "win32":
        return None
    place = path.with_name(f"{path.name}.lock")
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        try:
            return os.open(place, flags | os.O_CLOEXEC, 0o600)
        except OSError:
            continue
    return None


def _locked(descriptor: int, *, alone: bool) -> bool:
    if sys.platform == "win32":
        return True
    import fcntl  # noqa: PLC0415 - does not exist on Windows

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: advice cannot be given there
    return True
