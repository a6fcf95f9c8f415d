"""A real redis-server for tests and benches: on a free loopback port, with files of its own, gone when the test is."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from collections.abc import Sequence
from pathlib import Path

_START_WITHIN_S = 10.0


def redis_binary(name: str = "redis-server") -> str | None:
    """Where the program is. None: not installed."""
    return shutil.which(name)


def free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return probing.getsockname()[1]


class RedisServer:
    """One server process. `options`: as on its command line, such as `["--save", ""]`."""

    def __init__(self, folder: Path, *, options: Sequence[str] = (), port: int | None = None, binary: str = "") -> None:
        self.folder = folder
        self.port = port or free_port()
        self._binary = binary or redis_binary() or "redis-server"
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, on the port and the files of before, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--save", "", "--appendonly", "no", *self._options], stdout=log, stderr=log
            )
        self._wait()

    def kill(self) -> None:
        """As a crash or a power cut."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As an operator does it."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop answering, with all connections open."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def ask(self, *parts: str) -> bytes:
        """Send one command over a connection of its own and return the raw answer (up to 64 KiB)."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as wire:
            encoded = [part.encode() for part in parts]
            wire.sendall(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in encoded))
            return wire.recv(65_536)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server was not started"
        return self._process

    def _end(self, by: signal.Signals) -> None:
        running, self._process = self._process, None
        if running is not None:
            running.send_signal(signal.SIGCONT)
            running.send_signal(by)
            running.wait(timeout=10)

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_WITHIN_S
        while time.monotonic() < deadline:
            assert self._running().poll() is None, (self.folder / "log.txt").read_text()[-2_000:]
            with contextlib.suppress(OSError):
                if self.ask("PING").startswith((b"+PONG", b"-NOAUTH")):
                    return
            time.sleep(0.01)
        raise AssertionError((self.folder / "log.txt").read_text()[-2_000:])


@contextlib.contextmanager
def redis_server(folder: Path, *, options: Sequence[str] = ()) -> Generator[RedisServer]:
    """A server for the time of a block."""
    server = RedisServer(folder, options=options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
