"""A server that plays the part of Redis, or of a sentinel, as tests need it: what real ones do only now and then."""

import asyncio
from collections.abc import Callable
from typing import Self


class Actor:
    """A server that plays a part: `part` gives the answer to a command, or None to hang up."""

    def __init__(
        self, part: Callable[[list[bytes]], bytes | None], *, far_s: float = 0.0, greeting: bytes = b"+PONG\r\n"
    ) -> None:
        self._part = part
        self.greeting = greeting
        self._far_s = far_s
        """How long it takes until it greets."""
        self.heard: list[list[bytes]] = []
        self.port = 0
        self._serving: list[asyncio.Task[None]] = []
        self._cut: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._greet, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def cut(self) -> None:
        """Whatever comes over the connections of now is lost on the way, and nobody learns of it."""
        self._cut |= set(self._serving)

    def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (answer := await self._answer(await self._command(reader))) is not None:
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, command: list[bytes]) -> bytes | None:
        if asyncio.current_task() in self._cut:
            await asyncio.Event().wait()
        if command == [b"PING"]:
            await asyncio.sleep(self._far_s)
            return self.greeting
        self.heard.append(command)
        return self._part(command)

    async def _command(self, reader: asyncio.StreamReader) -> list[bytes]:
        count = int((await reader.readuntil(b"\r\n"))[1:])
        parts: list[bytes] = []
        for _ in range(count):
            length = int((await reader.readuntil(b"\r\n"))[1:])
            parts.append((await reader.readexactly(length + 2))[:-2])
        return parts

    def times(self, name: bytes) -> int:
        return sum(command[0] == name for command in self.heard)


def taking_turns(*answers: bytes | None) -> Callable[[list[bytes]], bytes | None]:
    """Each command but the wire's own probe gets the next answer."""
    left = list(answers)

    def part(command: list[bytes]) -> bytes | None:
        return b":0\r\n" if command[0] == b"DEL" else left.pop(0)

    return part


def naming(port: int) -> Callable[[list[bytes]], bytes]:
    """The part of a sentinel."""
    return lambda _: b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (len(str(port)), port)
