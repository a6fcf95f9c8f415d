"""One worker process as the server sees it: started, told its mount, asked one thing at a time, killed.

A thread per worker reads its frames, because that works the same under every event loop and before there is one.
"""

import asyncio
import contextlib
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Final
from typing import cast

from sources.duckdb import wire
from sources.protocol import Json
from sources.protocol import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT: Final = str(Path(__file__).resolve().parent.parent.parent)
_BOOTSTRAP: Final = "import sys; sys.path[:0] = {paths!r}; from sources.duckdb.worker import main; main()"
_REAP_S: Final = 1.0

Frame = wire.Frame


class WorkerDied(Exception):
    """The process ended; `code` is its exit code, negative for a signal."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"the worker ended with code {code}")
        self.code = code


class Worker:
    """A process that is starting, idle, busy or dead. All methods but the reading thread's run on one thread."""

    def __init__(self, mount: bytes, address_space_bytes: int) -> None:
        self.mount = mount
        self.mounted: Future[Frame] = Future()
        """The first answer: the catalogue, or a fault. Fails with `WorkerDied`."""
        self.dead = False
        self.catalogue: dict[str, Json] = {}
        self.on_end: Callable[[], None] = lambda: None
        """Called on the reading thread when the process has ended."""
        self._listen: Callable[[Frame | None], None] | None = None
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
            _command(address_space_bytes), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment()
        )
        self._thread = threading.Thread(target=self._read, args=(mount,), daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, frame: Frame, progress: Progress) -> asyncio.Future[Frame]:
        """Send one call; the answer arrives in the future, which fails with `WorkerDied`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Frame] = loop.create_future()
        answer.add_done_callback(_looked_at)

        def take(received: Frame | None) -> None:
            if answer.done():
                return
            if received is None:
                answer.set_exception(WorkerDied(self._process.poll()))
            elif "progress" in received:
                if received["call"] == frame["call"]:
                    progress(cast("float", received["progress"]), "running the query")
            else:
                self._listen = None
                answer.set_result(received)

        def listen(received: Frame | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                loop.call_soon_threadsafe(take, received)

        self._listen = listen
        self._send(frame)
        if self._process.poll() is not None:
            listen(None)
        return answer

    @property
    def alive(self) -> bool:
        return not self.dead and self._process.poll() is None

    def interrupt(self, call: int) -> None:
        self._send({"op": "interrupt", "call": call})

    def kill(self) -> None:
        """End the process now; its pending call fails with `WorkerDied`."""
        self.dead = True
        self._process.kill()

    def reap(self, within_s: float = _REAP_S) -> None:
        """Wait until a killed process and its thread are gone. Blocks."""
        self._thread.join(within_s)

    def _send(self, frame: Frame) -> None:
        if self._process.stdin is None:
            return
        with contextlib.suppress(OSError, ValueError):  # a worker that just died: the reading thread tells
            self._process.stdin.write(wire.packed(frame))
            self._process.stdin.flush()

    def _read(self, mount: bytes) -> None:
        reading, writing = self._process.stdout, self._process.stdin
        if reading is None or writing is None:
            return
        with contextlib.suppress(OSError, ValueError, wire.MalformedFrame):
            writing.write(mount)
            writing.flush()
            while (frame := wire.read_frame(reading.read)) is not None:
                self._deliver(frame)
        self.dead = True
        self._process.kill()
        code = self._process.wait()
        reading.close()
        with contextlib.suppress(OSError):  # what was still buffered for a dead worker
            writing.close()
        if not self.mounted.done():
            self.mounted.set_exception(WorkerDied(code))
        if (listen := self._listen) is not None:
            listen(None)
        self.on_end()

    def _deliver(self, frame: Frame) -> None:
        if not self.mounted.done():
            self.mounted.set_result(frame)
        elif (listen := self._listen) is not None:
            listen(frame)


def _looked_at(answer: asyncio.Future[Frame]) -> None:
    """A caller that went away does not look at how its call ended; that is no mistake worth a warning."""
    if not answer.cancelled():
        answer.exception()


def _command(address_space_bytes: int) -> list[str]:
    packages = [entry for entry in sys.path if Path(entry).name in {"site-packages", "dist-packages"}]
    bootstrap = _BOOTSTRAP.format(paths=[_ROOT, *packages])
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", bootstrap, str(address_space_bytes)]


def _environment() -> dict[str, str]:
    """Nothing of ours: a worker must not even know our secrets. Windows needs to know where it is installed."""
    if sys.platform != "win32":
        return {"LANG": "C.UTF-8"}
    import ctypes  # noqa: PLC0415 - needed on Windows alone

    folder = ctypes.create_unicode_buffer(260)
    ctypes.windll.kernel32.GetWindowsDirectoryW(folder, len(folder))
    return {"SYSTEMROOT": folder.value}
