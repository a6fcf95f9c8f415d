"""HTTP/1.1 for the simulator, byte by byte, so that an answer can be cut, slowed, or end in a reset connection."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator
from collections.abc import Coroutine
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import cast

import h11

from server.simulator.app import PATH
from server.simulator.app import Simulator
from server.simulator.faults import Cut
from server.simulator.faults import Dribble
from server.simulator.faults import Flood
from server.simulator.faults import Garbled
from server.simulator.faults import Reset
from server.simulator.replies import Reply
from server.simulator.replies import flood
from server.simulator.replies import garbled

_READ_BYTES: Final = 65_536
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class _Left(Exception):
    """The client closed the connection, or sent what is no HTTP."""


@contextlib.asynccontextmanager
async def listening(simulator: Simulator, *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
    """Serve on this address for the time of a block, and yield the URL. Port 0: any free one.

    Connections that are open at the end are closed. Raises `OSError` when the address is not free.
    """
    lines: set[asyncio.Task[None]] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())  # that of the server for this connection
        lines.add(task)
        try:
            await _Line(simulator=simulator, reader=reader, writer=writer, state=h11.Connection(h11.SERVER)).serve()
        except asyncio.CancelledError:
            pass  # the block ends: nobody waits for this line
        finally:
            lines.discard(task)

    server = await asyncio.start_server(take, host, port)
    try:
        number = server.sockets[0].getsockname()[1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{number}{PATH}"
    finally:
        server.close()
        for line in tuple(lines):
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)
        await server.wait_closed()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class _Line:
    """One connection, request after request."""

    simulator: Simulator
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    state: h11.Connection

    async def serve(self) -> None:
        try:
            while await self._next():
                self.state.start_next_cycle()
        except (_Left, ConnectionError, h11.RemoteProtocolError):
            pass
        finally:
            self.writer.close()
            with contextlib.suppress(ConnectionError):
                await self.writer.wait_closed()

    async def _next(self) -> bool:
        """Answer one request; False when it was the last one of the connection."""
        request = await self._request()
        if request is None:
            await self._send(Reply(status=413, headers={"connection": "close"}, body=b""), takes_gzip=False)
            return False
        answering = self.simulator.answer(request.method, request.target, request.headers, request.body)
        reply = await self._unless_left(answering)
        return await self._send(reply, takes_gzip="gzip" in request.headers.get("accept-encoding", ""))

    async def _request(self) -> _Request | None:
        """The next request. None: it is too large.

        Raises `_Left` when there is none.
        """
        head: h11.Request | None = None
        body = bytearray()
        while True:
            match self.state.next_event():
                case h11.NEED_DATA:
                    await self._read()
                case h11.Request() as head:
                    pass
                case h11.Data() as piece:
                    body += piece.data
                    if len(body) > self.simulator.body_bytes_most:
                        return None
                case h11.EndOfMessage() if head is not None:
                    return _request_of(head, bytes(body))
                case _:
                    raise _Left

    async def _read(self) -> None:
        if self.state.they_are_waiting_for_100_continue:
            await self._write(self.state.send(h11.InformationalResponse(status_code=100, headers=[])))
        self.state.receive_data(await self.reader.read(_READ_BYTES))

    async def _unless_left(self, answering: Coroutine[Any, Any, Reply]) -> Reply:
        """The reply, unless the client closes the connection first: then the work on it is cancelled."""
        work = asyncio.ensure_future(answering)
        reading = asyncio.ensure_future(self.reader.read(_READ_BYTES))
        try:
            while True:
                await asyncio.wait((work, reading), return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    return work.result()
                self.state.receive_data(reading.result())
                if not reading.result():
                    self.simulator.abandoned += 1
                    raise _Left
                reading = asyncio.ensure_future(self.reader.read(_READ_BYTES))
        finally:
            work.cancel()
            reading.cancel()
            await asyncio.gather(work, reading, return_exceptions=True)

    async def _send(self, reply: Reply, *, takes_gzip: bool) -> bool:
        match reply.fault:
            case Reset(when="before"):
                self._reset()
                return False
            case Reset():
                await self._write(self._head(reply, len(reply.body)), reply.body[: len(reply.body) // 2])
                self._reset()
                return False
            case Cut() as fault:
                await self._write(self._head(reply, len(reply.body)), reply.body[: int(len(reply.body) * fault.share)])
                return False
            case Flood() as fault:
                return await self._pour(reply, flood(fault.size_bytes, compressed=takes_gzip), takes_gzip=takes_gzip)
            case Garbled():
                await self._write(self._head(reply, len(reply.body)), garbled(reply.body))
            case Dribble() as fault:
                await self._write(self._head(reply, len(reply.body)))
                for start in range(0, len(reply.body), fault.piece_bytes):
                    await asyncio.sleep(fault.pause_s)
                    await self._write(reply.body[start : start + fault.piece_bytes])
            case _:
                await self._write(self._head(reply, len(reply.body)), reply.body)
        return self._ended(reply.body)

    def _ended(self, body: bytes) -> bool:
        """Tell the state that the whole body went out; whether the connection may go on."""
        self.state.send(h11.Data(data=body))
        self.state.send(h11.EndOfMessage())
        return self.state.our_state is h11.DONE and self.state.their_state is h11.DONE

    async def _pour(self, reply: Reply, pieces: Iterable[bytes], *, takes_gzip: bool) -> bool:
        """A body whose length is not known before: it ends with the connection."""
        packed = {"content-encoding": "gzip"} if takes_gzip else {}
        headers = {**reply.headers, **packed, "connection": "close"}
        await self._write(self.state.send(_response(reply.status, headers)))
        for piece in pieces:
            await self._write(self.state.send(h11.Data(data=piece)))
        await self._write(self.state.send(h11.EndOfMessage()))
        return False

    def _head(self, reply: Reply, length: int) -> bytes | None:
        return self.state.send(_response(reply.status, {**reply.headers, "content-length": str(length)}))

    async def _write(self, *pieces: bytes | None) -> None:
        # Not `writelines`: with Python 3.13.0 the end of a long body was lost when the connection was closed behind it.
        self.writer.write(b"".join(piece for piece in pieces if piece))
        await self.writer.drain()

    def _reset(self) -> None:
        own: socket.socket = self.writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.writer.transport.abort()


def _response(status: int, headers: dict[str, str]) -> h11.Response:
    return h11.Response(
        status_code=status, headers=[(name.encode(), value.encode()) for name, value in headers.items()]
    )


def _request_of(head: h11.Request, body: bytes) -> _Request:
    return _Request(
        method=head.method.decode(),
        target=head.target.decode(),
        headers={name.decode(): value.decode("latin-1") for name, value in head.headers},
        body=body,
    )
