"""Our own command as a process that serves HTTP, to be killed and frozen; and clients that outlive all of that."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from collections.abc import Generator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import AsyncExitStack
from contextlib import asynccontextmanager
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import TextContent
from mcp_types import TextResourceContents

from tests.redis_server import free_port

_START_WITHIN_S = 30.0
_CALL_WITHIN_S = 5.0


class UdsProcess:
    """One server process on a port that stays the same however often it is started."""

    def __init__(self, folder: Path, environ: Mapping[str, str], *, arguments: Sequence[str] = ()) -> None:
        """`folder`: for its log and, unless `environ` names another one, its state."""
        self.folder = folder
        self.port = free_port()
        self._environ = {"UDS_STATE_DIR": str(folder / "state"), "UDS_WORKERS": "1", **environ}
        self._arguments = tuple(arguments)
        self._running: subprocess.Popen[bytes] | None = None
        self._log_from = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._alive().pid

    @property
    def log(self) -> str:
        """What it said to standard error, since the first start."""
        return (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace")

    def launch(self) -> None:
        """Start without waiting."""
        self.folder.mkdir(parents=True, exist_ok=True)
        script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
        assert script is not None, "the project is not installed in this environment"
        command = [script, "serve", "--http", "--port", str(self.port), *self._arguments]
        environ = {**os.environ, **self._environ}
        place = self.folder / "log.txt"
        self._log_from = place.stat().st_size if place.exists() else 0
        with place.open("ab") as log:
            self._running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ)

    def wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + _START_WITHIN_S
        while time.monotonic() < deadline:
            said = (self.folder / "log.txt").read_bytes()[self._log_from :]
            if re.search(rb"listening: http://\S+/mcp", said):
                return
            assert self._alive().poll() is None, self.log[-2_000:]
            time.sleep(0.02)
        raise AssertionError(self.log[-2_000:])

    def start(self) -> None:
        self.launch()
        self.wait_until_it_listens()

    def kill(self) -> None:
        """As a crash."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """As an operator does it; the exit code."""
        return self._end(signal.SIGTERM)

    def freeze(self) -> None:
        self._alive().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._alive().send_signal(signal.SIGCONT)

    def _alive(self) -> subprocess.Popen[bytes]:
        assert self._running is not None, "the server was not started"
        return self._running

    def _end(self, by: signal.Signals) -> int:
        running, self._running = self._running, None
        if running is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            running.send_signal(signal.SIGCONT)
            running.send_signal(by)
        return running.wait(timeout=20)


@contextmanager
def uds_processes(processes: Sequence[UdsProcess]) -> Generator[Sequence[UdsProcess]]:
    """Servers for the time of a block; they start side by side."""
    try:
        for each in processes:
            each.launch()
        for each in processes:
            each.wait_until_it_listens()
        yield processes
    finally:
        for each in processes:
            each.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of a call."""

    answer: dict[str, Any] | None = None
    refusal: str | None = None
    """The text of the error that the tool answered with."""
    sent: bool = True
    """False: it never left this process. With neither answer nor refusal, nobody knows whether it was carried out."""

    @property
    def code(self) -> str | None:
        """Of the refusal, such as `conflict`."""
        return None if self.refusal is None else self.refusal.partition(":")[0]

    @property
    def is_lost(self) -> bool:
        return self.sent and self.answer is None and self.refusal is None

    @property
    def degraded(self) -> str | None:
        return None if self.answer is None else self.answer.get("degraded")


@dataclass(frozen=True, slots=True)
class _Wish:
    tool: str
    """Empty: the resource named in `arguments` is read instead."""
    arguments: dict[str, Any]
    told: asyncio.Future[Told]

    def tell(self, told: Told) -> None:
        if not self.told.done():
            self.told.set_result(told)


class Caller:
    """A client of one server. It calls one thing after the other, and connects anew after whatever broke."""

    def __init__(self, address: str, *, within_s: float = _CALL_WITHIN_S) -> None:
        self._address = address
        self._within_s = within_s
        self._wishes: asyncio.Queue[_Wish] = asyncio.Queue()

    async def call(self, tool: str, /, **arguments: Any) -> Told:
        """Never raises: a server that is gone is one that does not answer."""
        wish = _Wish(tool, arguments, asyncio.get_running_loop().create_future())
        self._wishes.put_nowait(wish)
        return await wish.told

    async def ask(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """A call that has to be answered."""
        told = await self.call(tool, **arguments)
        assert told.answer is not None, told
        return told.answer

    async def whole(self, session: str) -> Told:
        """The resource of a session."""
        return await self.call("", uri=f"uds://sessions/{session}")

    async def serve(self) -> None:
        """Carry out what is called, for ever."""
        wish: _Wish | None = None
        while True:
            wish = wish or await self._wishes.get()
            sent = False
            try:
                async with Client(f"{self._address}/mcp", read_timeout_seconds=self._within_s) as client:
                    sent = True
                    while True:
                        wish.tell(await _carried_out(client, wish))
                        wish = None
                        wish = await self._wishes.get()
            except Exception:  # noqa: BLE001 - however the connection broke, the next call gets a new one
                if wish is not None:
                    wish.tell(Told(sent=sent))
                    wish = None


async def _carried_out(client: Client, wish: _Wish) -> Told:
    try:
        if not wish.tool:
            return await _resource(client, wish.arguments["uri"])
        result = await client.call_tool(wish.tool, wish.arguments)
    except MCPError as fault:
        if "timed out" in str(fault):
            return Told()
        if "Connection closed" in str(fault):
            raise
        return Told(refusal=str(fault))
    if result.is_error:
        return Told(refusal="".join(each.text for each in result.content if isinstance(each, TextContent)))
    return Told(answer=result.structured_content)


async def _resource(client: Client, uri: str) -> Told:
    (content,) = (await client.read_resource(uri, cache_mode="bypass")).contents
    assert isinstance(content, TextResourceContents)
    return Told(answer=json.loads(content.text))


@asynccontextmanager
async def callers(addresses: Sequence[str], *, within_s: float = _CALL_WITHIN_S) -> AsyncGenerator[list[Caller]]:
    """A client of each of these servers, for the time of a block."""
    made = [Caller(address, within_s=within_s) for address in addresses]
    async with AsyncExitStack() as stack:
        for each in made:
            task = asyncio.create_task(each.serve())
            stack.push_async_callback(_ended, task)
        yield made


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
