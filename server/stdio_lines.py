"""How lines come in from the wire and go out on it; neither a silent nor a deaf client can hold up a stop."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator

import anyio.to_thread

_LINE_BYTES_MOST = 4 * 1024 * 1024
"""A longer message is cut here and so refused as malformed. Source: the SDK's bound on HTTP request bodies."""

_READ_BYTES = 64 * 1024
_LINES_AHEAD = 64


class Incoming:
    """Lines as they arrive. Read on a daemon thread, because a blocked read of a pipe cannot be cancelled."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._room = threading.Semaphore(_LINES_AHEAD)

    async def __aiter__(self) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), name="stdin", daemon=True).start()
        while (line := await self._lines.get()) is not None:
            self._room.release()
            yield line

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        held = b""
        try:
            while chunk := _read(self._descriptor):
                *lines, held = (held + chunk).split(b"\n")
                for line in lines:
                    self._room.acquire()
                    loop.call_soon_threadsafe(self._lines.put_nowait, line.decode("utf-8", "replace"))
                held = held[: _LINE_BYTES_MOST + 1]
            loop.call_soon_threadsafe(self._lines.put_nowait, None)
        except RuntimeError:
            return  # the loop is closed: nobody is left to read for


class Outgoing:
    """Text as it leaves. A write that the client never takes is left behind when the server is stopped."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def write(self, text: str) -> None:
        """Write all of the text. Raises `OSError` when the client is gone."""
        await anyio.to_thread.run_sync(_write_all, self._descriptor, text.encode("utf-8"), abandon_on_cancel=True)

    async def flush(self) -> None:
        """Nothing is held back."""


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _READ_BYTES)
    except OSError:  # a broken pipe means the same as a closed one
        return b""


def _write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
