"""The processes of the cluster demo: a Redis, and servers that share it; each can be ended and started again."""

import asyncio
import collections
import contextlib
import shutil
import signal
import socket
import time
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mcp.client.stdio import get_default_environment

from server.balancer import Instance
from server.demo_calls import DemoFailed
from server.demo_calls import own_command

_START_WITHIN_S = 30.0
_END_WITHIN_S = 5.0

NO_REDIS: Final = (
    "redis-server is not installed here. Install it (`apt-get install redis-server`, `dnf install redis`, "
    "`brew install redis`), or see the same with one shared file: `uds-mcp cluster-demo --store sqlite`"
)


class Program:
    """A process that says when it is ready; it can be ended and started again, with the same command."""

    def __init__(self, name: str, command: Sequence[str], *, ready: str, environ: Mapping[str, str]) -> None:
        """`ready`: part of the line that it says then, to standard output or error."""
        self.name = name
        self._command = tuple(command)
        self._ready = ready
        self.environ = {**get_default_environment(), **environ}  # settings of whoever runs the demo are not inherited
        self._running: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._said = collections.deque[str](maxlen=20)

    async def start(self) -> float:
        """Start, and return after how many milliseconds it was ready. Raises `DemoFailed`."""
        started_s = time.perf_counter()
        self._running = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self.environ,
        )
        is_ready = asyncio.Event()
        self._reading = asyncio.create_task(self._read(self._running, is_ready))
        waiting = asyncio.create_task(is_ready.wait())
        await asyncio.wait((self._reading, waiting), timeout=_START_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not is_ready.is_set():
            said = " ".join(list(self._said)[-3:]) or "it said nothing"
            raise DemoFailed(f"{self.name} did not start: {said}")
        return (time.perf_counter() - started_s) * 1000

    async def end(self, *, by: signal.Signals = signal.SIGTERM) -> None:
        """End it, and wait until it is gone."""
        running, self._running = self._running, None
        if running is None:
            return
        with contextlib.suppress(ProcessLookupError):
            running.send_signal(by)
        try:
            await asyncio.wait_for(running.wait(), _END_WITHIN_S)
        except TimeoutError:
            running.kill()
            await running.wait()
        if self._reading is not None:
            await self._reading

    async def _read(self, running: asyncio.subprocess.Process, is_ready: asyncio.Event) -> None:
        if running.stdout is None:
            return
        async for line in running.stdout:
            self._said.append(line.decode(errors="replace").strip())
            if self._ready in self._said[-1]:
                is_ready.set()


class Server(Program):
    """One of our own, on a port that stays the same."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self.instance = Instance(name, free_port())
        ours = own_command()
        serve = ("serve", "--http", "--stateless", "--port", str(self.instance.port))
        self._ours = (ours.command, *ours.args)
        super().__init__(name, [*self._ours, *serve], ready="listening", environ=environ)

    async def beside(self, *arguments: str) -> str:
        """What our command says with the settings of this server, while it runs. Raises `DemoFailed`."""
        running = await asyncio.create_subprocess_exec(
            *self._ours,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self.environ,
        )
        async with asyncio.timeout(_START_WITHIN_S):
            said = (await running.communicate())[0].decode(errors="replace")
        if running.returncode:
            raise DemoFailed(f"uds-mcp {arguments[0]}: {said.strip()}")
        return said


class Redis(Program):
    """A Redis of the demo's own, which writes to disk before it answers. Raises `DemoFailed` when there is none."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise DemoFailed(NO_REDIS)
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}/0"
        place = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        kept = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction"]
        super().__init__("Redis", [program, *place, *kept], ready="Ready to accept connections", environ={})


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return int(probing.getsockname()[1])
