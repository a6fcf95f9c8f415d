"""A small load balancer on loopback: each request goes to the next instance, whoever sent it.

For the cluster demo and benches; in front of people stands a real one (`deploy/`). It keeps nothing, so it can make no
client stick to an instance. A request is passed on once; only one that no instance took goes to another.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncGenerator
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from server.balancer_heads import Garbled
from server.balancer_heads import Head
from server.balancer_heads import is_whole
from server.balancer_heads import parsed
from server.balancer_heads import request_body_bytes
from server.balancer_heads import to_client
from server.balancer_heads import to_instance
from server.balancer_heads import wants_close

_RESTS_S: Final = 1.0
"""An instance that took no connection is asked last for this long."""
_PIECE_BYTES = 65_536
_CONNECT_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Instance:
    """A server behind the balancer."""

    name: str
    port: int
    host: str = "127.0.0.1"


class Turns:
    """Whose turn it is."""

    def __init__(self, instances: Sequence[Instance], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._instances = tuple(instances)
        self._clock = clock
        self._turn = itertools.cycle(range(len(self._instances)))
        self._rests_until_s: dict[Instance, float] = {}

    def next(self) -> tuple[Instance, ...]:
        """All instances in the order in which to try them; those that rest come last."""
        first = next(self._turn)
        turned = (*self._instances[first:], *self._instances[:first])
        now_s = self._clock()
        return tuple(sorted(turned, key=lambda each: self._rests_until_s.get(each, now_s) > now_s))

    def rest(self, instance: Instance) -> None:
        """It took no connection."""
        self._rests_until_s[instance] = self._clock() + _RESTS_S


@dataclass(frozen=True, slots=True)
class _Taken:
    """An instance that took a connection."""

    instance: Instance
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class _Client:
    """One connection of a client; its requests come one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._early = b""
        self.writer = writer

    async def request(self) -> tuple[Head, bytes] | None:
        """The next request. None: there is none. Raises `Garbled`."""
        try:
            raw = self._early + await self._reader.readuntil(b"\r\n\r\n")
            self._early = b""
            head = parsed(raw)
            return head, await self._reader.readexactly(request_body_bytes(head))
        except asyncio.LimitOverrunError as fault:
            raise Garbled("a head that is too long") from fault
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def is_gone(self) -> None:
        """Return when the client has left; what it sends meanwhile is kept for the next request."""
        while not self._early:
            self._early = await self._reader.read(1)
            if not self._early:
                return
        await asyncio.Event().wait()  # it asks for more, so it is there, until its answer cannot be written


@asynccontextmanager
async def balancing(
    instances: Sequence[Instance],
    *,
    answered: Callable[[Instance], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[str]:
    """Balance on a loopback port while the body runs; gives `http://host:port`. `answered` hears of each answer."""
    turns = Turns(instances, clock=clock)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            serving.add(task)
            task.add_done_callback(serving.discard)
        with contextlib.suppress(asyncio.CancelledError):  # only we cancel it, and nobody waits to hear of it
            await _serve(_Client(reader, writer), turns, answered)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, limit=_PIECE_BYTES)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for task in tuple(serving):
            task.cancel()
        if serving:
            await asyncio.wait(serving)


async def _serve(client: _Client, turns: Turns, answered: Callable[[Instance], None] | None) -> None:
    while True:
        try:
            request = await client.request()
        except Garbled as fault:
            await _refuse(client, b"400 Bad Request", str(fault))
            return
        if request is None or not await _pass_on(client, *request, turns, answered) or wants_close(request[0]):
            return


async def _pass_on(
    client: _Client, head: Head, body: bytes, turns: Turns, answered: Callable[[Instance], None] | None
) -> bool:
    """Whether the client can send another request on this connection."""
    taken = await _taken(turns)
    if taken is None:
        return await _refuse(client, b"503 Service Unavailable", "no instance takes a connection; try again")
    passing = asyncio.create_task(_answer(client, head, body, taken, answered))
    leaving = asyncio.create_task(client.is_gone())
    try:
        await asyncio.wait((passing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if passing.done():
            return passing.result()
        return False
    finally:
        taken.writer.close()
        for task in (passing, leaving):
            task.cancel()
        await asyncio.wait((passing, leaving))


async def _taken(turns: Turns) -> _Taken | None:
    for instance in turns.next():
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                reader, writer = await asyncio.open_connection(instance.host, instance.port, limit=_PIECE_BYTES)
        except OSError:  # a TimeoutError is one too
            turns.rest(instance)
        else:
            return _Taken(instance, reader, writer)
    return None


async def _answer(
    client: _Client, head: Head, body: bytes, taken: _Taken, answered: Callable[[Instance], None] | None
) -> bool:
    try:
        taken.writer.write(to_instance(head) + body)
        told = parsed(await taken.reader.readuntil(b"\r\n\r\n"))
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, Garbled):
        text = f"{taken.instance.name} broke off; whether it did what was asked is not known"
        return await _refuse(client, b"502 Bad Gateway", text)
    if answered is not None:
        answered(taken.instance)
    with contextlib.suppress(OSError):
        client.writer.write(to_client(told, taken.instance.name))
        return await _pumped(client, told, taken.reader)
    return False


async def _pumped(client: _Client, told: Head, body: asyncio.StreamReader) -> bool:
    """Pass on a body as it comes; False when it broke off, so that the client's connection must break too."""
    length, last = 0, b""
    while piece := await body.read(_PIECE_BYTES):
        client.writer.write(piece)
        await client.writer.drain()
        length, last = length + len(piece), (last + piece)[-5:]
    return is_whole(told, body_bytes=length, last=last)


async def _refuse(client: _Client, status: bytes, text: str) -> bool:
    body = text.encode()
    first = b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\nretry-after: 1\r\n" % status
    with contextlib.suppress(OSError):
        client.writer.write(first + b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await client.writer.drain()
    return False
