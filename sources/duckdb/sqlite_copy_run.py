"""The private copies of SQLite files: made when a file changed, by a process of its own, removed at the end."""

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from sources.duckdb.files_stamp import file_stamps
from sources.protocol import Json

_ROOT: Final = str(Path(__file__).resolve().parent.parent.parent)
_START: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from sources.duckdb.sqlite_copy import main; main(*sys.argv[2:])"
)
_SLOWEST_S: Final = 1800.0


class Copies:
    """Blocking; one thread at a time, except `close`."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._made: dict[str, tuple[object, dict[str, Json]]] = {}
        self._number = 0
        self._running: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()

    @property
    def folder(self) -> str | None:
        """The private folder the copies are in. None: no copy was needed so far."""
        return None if self._folder is None else str(self._folder)

    def made(self, paths: Iterable[str]) -> dict[str, Json]:
        """A copy or a fault for each SQLite file, made anew only for files that changed."""
        current: dict[str, tuple[object, dict[str, Json]]] = {}
        for path in paths:
            stamps = file_stamps((path, f"{path}-wal"))
            known = self._made.get(path)
            current[path] = known if known is not None and known[0] == stamps else (stamps, self._copied(path))
        self._made = current
        return {path: copy for path, (_, copy) in current.items()}

    def forget_old(self) -> None:
        """Remove copies that no worker is told of any more. One still open (on Windows) stays until the end."""
        used = {str(copy["copy"]) for _, copy in self._made.values()}
        for old in self._folder.glob("*.duckdb") if self._folder is not None else ():
            if str(old) not in used:
                with suppress(OSError):
                    old.unlink()

    def close(self) -> None:
        """Stop a copy that is being made and remove everything."""
        self._closing.set()
        if self._running is not None:
            self._running.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _copied(self, path: str) -> dict[str, Json]:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="uds-sqlite-"))
        self._number += 1
        target = self._folder / f"{self._number}.duckdb"
        command = [sys.executable, "-I", "-c", _START, _ROOT, path, str(target)]
        # mkdtemp made the folder for its owner alone, so the files in it are private, too.
        with subprocess.Popen(  # noqa: S603  # our own interpreter and module; the path is data
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            self._running = process
            if self._closing.is_set():
                process.kill()
            fault = self._outcome(process)
        self._running = None
        if fault is None:
            target.chmod(0o600)
        return {"copy": str(target), "fault": fault}

    def _outcome(self, process: subprocess.Popen[bytes]) -> str | None:
        try:
            _, told = process.communicate(timeout=_SLOWEST_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return f"it could not be copied within {_SLOWEST_S:g} s"
        if process.returncode == 0:
            return None
        lines = told.decode("utf-8", "replace").strip().splitlines()
        return (lines[-1] if lines else f"copying it ended with {process.returncode}")[:300]
