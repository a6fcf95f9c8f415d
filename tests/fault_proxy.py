"""A TCP proxy on loopback whose faults are switched on and off while it runs, in a thread of its own.

What a test asks of it holds as soon as the method returns, for connections that exist as well as for new ones.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from collections.abc import Generator
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace

_CHUNK_BYTES = 65_536
_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How bytes travel in one direction."""

    delay_s: float = 0.0
    """Each chunk waits so long before it goes on."""
    frozen: bool = False
    """Nothing goes on, and nothing is lost: it waits until the way is open again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snip:
    """Cut a connection in the middle of an answer: what was asked was carried out, and nobody is told."""

    after_bytes: int
    """Of the answer, which still go through. 0: nothing of it."""
    asked: bytes
    """Only answers on connections that sent this since the snip was wanted. Empty: any."""


@dataclass(eq=False, slots=True, kw_only=True)
class _Pair:
    """A connection to the proxy and the one it made on its behalf."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    armed: Snip | None = None
    passed_bytes: int = 0
    """Of the answer since it was armed."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    def cut(self) -> None:
        """With a reset, as when a machine is gone, and not as if it had said goodbye."""
        for writer in (self.near, self.far):
            wire = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class FaultProxy:
    """Between clients and a server on this machine. All methods may be called from any thread."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.snipped = 0
        """Answers that were cut so far."""
        self._up, self._down = Way(), Way()
        self._refusing = False
        self._snips: list[Snip] = []
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._changed = asyncio.Event()
        self._listening: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """Open now."""
        return len(self._pairs)

    def start(self) -> None:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_WITHIN_S)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(_WITHIN_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_WITHIN_S)
        self._loop.close()

    def delay(self, *, up_s: float = 0.0, down_s: float = 0.0) -> None:
        """Slow down: `up_s` on the way to the server, `down_s` back."""
        self._set(up=replace(self._up, delay_s=up_s), down=replace(self._down, delay_s=down_s))

    def freeze(self, *, up: bool = True, down: bool = True) -> None:
        """Let nothing through and keep all connections open, as when a cable is pulled."""
        self._set(up=replace(self._up, frozen=up), down=replace(self._down, frozen=down))

    def refuse(self) -> None:
        """Reset new connections at once; those that exist go on."""
        self._on_loop(lambda: setattr(self, "_refusing", True))

    def cut(self) -> None:
        """Reset all connections that exist; new ones are welcome."""
        self._on_loop(self._cut_all)

    def away(self) -> None:
        """Reset those that exist and those to come."""
        self.refuse()
        self.cut()

    def snip(self, *, after_bytes: int = 0, asked: bytes = b"", times: int = 1) -> None:
        """Cut the connection at the next answer that fits, `times` times."""
        wanted = Snip(after_bytes=after_bytes, asked=asked)
        self._on_loop(lambda: self._snips.extend([wanted] * times))

    def heal(self) -> None:
        """No fault any more. What was frozen goes on."""
        self._on_loop(self._snips.clear)
        self._on_loop(lambda: setattr(self, "_refusing", False))
        self._set(up=Way(), down=Way())

    def _set(self, *, up: Way, down: Way) -> None:
        def change() -> None:
            self._up, self._down = up, down
            self._changed.set()
            self._changed = asyncio.Event()

        self._on_loop(change)

    def _on_loop(self, act: Callable[[], object]) -> None:
        async def acting() -> None:
            act()

        asyncio.run_coroutine_threadsafe(acting(), self._loop).result(_WITHIN_S)

    def _cut_all(self) -> None:
        for pair in tuple(self._pairs):
            pair.cut()

    async def _listen(self) -> int:
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._listening.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._listening is not None
        self._listening.close()
        tasks = [task for pair in self._pairs for task in pair.tasks]
        self._cut_all()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        if self._refusing:
            near.transport.abort()
            return
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            near.transport.abort()
            return
        pair = _Pair(near=near, far=far)
        self._pairs.add(pair)
        pair.tasks += [
            asyncio.create_task(self._pump(reader, far, pair, is_up=True)),
            asyncio.create_task(self._pump(far_reader, near, pair, is_up=False)),
        ]
        try:
            await asyncio.wait(pair.tasks)
        finally:
            pair.cut()
            self._pairs.discard(pair)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pair: _Pair, *, is_up: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                await self._travel(is_up=is_up)
                if is_up:
                    self._arm(pair, chunk)
                elif (cut_at := self._cut_at(pair, chunk)) is not None:
                    writer.write(chunk[:cut_at])
                    await writer.drain()
                    self.snipped += 1
                    break
                writer.write(chunk)
                await writer.drain()
            await self._finish(writer)
        if not is_up:
            pair.cut()

    async def _travel(self, *, is_up: bool) -> None:
        """As long as the way takes now, or is closed."""
        if wait_s := (self._up if is_up else self._down).delay_s:
            await asyncio.sleep(wait_s)
        while (self._up if is_up else self._down).frozen:
            await self._changed.wait()

    def _arm(self, pair: _Pair, chunk: bytes) -> None:
        if pair.armed is not None:
            return
        fitting = next((each for each in self._snips if each.asked in chunk), None)
        if fitting is not None:
            self._snips.remove(fitting)
            pair.armed, pair.passed_bytes = fitting, 0

    def _cut_at(self, pair: _Pair, chunk: bytes) -> int | None:
        """Where in this chunk the answer is to be cut. None: nowhere."""
        if pair.armed is None:
            return None
        room = pair.armed.after_bytes - pair.passed_bytes
        pair.passed_bytes += len(chunk)
        return room if len(chunk) > room else None

    async def _finish(self, writer: asyncio.StreamWriter) -> None:
        if writer.can_write_eof():
            writer.write_eof()


@contextlib.contextmanager
def fault_proxy(target_port: int) -> Generator[FaultProxy]:
    """A proxy for the time of a block."""
    proxy = FaultProxy(target_port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()
