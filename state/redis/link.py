"""One connection to one server of Redis, made by redis-py: bytes out, replies in, and what its errors mean here.

Only this file and those that find servers import redis, and they are imported when a wire is opened.
"""

import os
import ssl
from collections.abc import Sequence
from typing import Any
from typing import Protocol
from typing import cast

from redis.asyncio import Connection
from redis.asyncio import SSLConnection
from redis.asyncio import UnixDomainSocketConnection
from redis.exceptions import NoScriptError
from redis.exceptions import ReadOnlyError
from redis.exceptions import RedisError
from redis.exceptions import ResponseError

from state.redis.address import Address
from state.redis.address import Place
from state.redis.calls import packed
from state.redis.replies import Broken
from state.redis.replies import Wrong
from state.redis.replies import wrong

_CODES: tuple[tuple[type[RedisError], str], ...] = ((NoScriptError, "NOSCRIPT"), (ReadOnlyError, "READONLY"))
"""Of errors that carry no code of their own, as those of fakeredis."""


_WORDS_MOST = 200


class Raw(Protocol):
    """What is used of redis-py's connections."""

    async def connect(self) -> None: ...

    async def can_read(self) -> bool: ...

    async def send_packed_command(self, command: Sequence[bytes], check_health: bool = True) -> None: ...  # noqa: FBT001, FBT002 - redis-py's

    async def read_response(self, *, timeout: float | None = None, disconnect_on_error: bool = True) -> Any: ...  # noqa: ASYNC109 - redis-py's

    async def disconnect(self, nowait: bool = False) -> None: ...  # noqa: FBT001, FBT002 - redis-py's


PING = packed(["PING"])


class Link:
    """A connection that is used by one at a time. After `Broken` it can only be closed."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw

    async def open(self) -> None:
        """Connect, log in, and see that it answers. Raises Broken."""
        try:
            await self._raw.connect()
        except (RedisError, OSError) as error:
            answer = _answer(error)
            raise Broken((answer and answer.not_now) or _told(error), answer=answer) from None
        await self.send(PING)
        reply = await self.read()
        if isinstance(reply, Wrong) and reply.code != "NOPERM":
            raise Broken(reply.not_now or reply.text, answer=reply)

    async def spoiled(self) -> bool:
        """Whether the other side has closed it, or said something nobody asked for, while it rested."""
        try:
            return await self._raw.can_read()
        except (RedisError, OSError):
            return True

    async def answers(self, within_s: float) -> bool:
        """Whether it still leads to a server. False: it can only be closed."""
        try:
            await self.send(PING)
            return await self.read(within_s) is not None
        except Broken:
            return False

    async def send(self, *commands: bytes) -> None:
        """Raises Broken; some may have arrived all the same."""
        try:
            await self._raw.send_packed_command(commands, check_health=False)
        except (RedisError, OSError) as error:
            raise Broken(_told(error)) from None

    async def read(self, within_s: float | None = None) -> Any:
        """The next reply, which may be `Wrong`. None after `within_s`. Raises Broken."""
        try:
            return await self._raw.read_response(timeout=within_s, disconnect_on_error=False)
        except RedisError as error:
            answer = _answer(error)
            if answer is None:
                raise Broken(_told(error)) from None
            return answer
        except OSError as error:
            raise Broken(_told(error)) from None

    async def close(self) -> None:
        """Let go of it, without waiting for anybody."""
        try:
            await self._raw.disconnect(nowait=True)
        except (RedisError, OSError):
            return


def _answer(error: Exception) -> Wrong | None:
    """What Redis said. None: the error is about the connection."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), None)
    if isinstance(error, RedisError):
        code = error.status_code or code
    return wrong(code, str(error)) if code or isinstance(error, ResponseError) else None


def _told(error: Exception) -> str:
    """In a few words, and without the name of the place: callers may see them."""
    cause = error.__context__ if isinstance(error.__context__, OSError) else error
    match cause:
        case ssl.SSLCertVerificationError():
            told = f"its certificate: {cause.verify_message}"
        case ssl.SSLError():
            told = f"TLS: {cause.reason}"
        case OSError(errno=int(number)) if number > 0:
            told = os.strerror(number)
        case OSError(strerror=str(text)):
            told = text
        case _:
            told = str(error) or type(error).__name__
    return " ".join(told.split())[:_WORDS_MOST]


def made(address: Address, place: Place | None) -> Link:
    """A connection to be. `place`: where. None: the address names a socket."""
    asked: dict[str, Any] = {
        "db": address.database,
        "username": address.username,
        "password": address.password,
        "protocol": 2,
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "driver_info": None,
    }
    if place is None:
        return Link(cast("Raw", UnixDomainSocketConnection(path=address.path or "", **asked)))
    asked |= {"host": place[0], "port": place[1], "socket_keepalive": True}
    if address.tls is None:
        return Link(cast("Raw", Connection(**asked)))
    tls = address.tls
    secure = SSLConnection(
        ssl_ca_certs=tls.ca_certs,
        ssl_certfile=tls.certfile,
        ssl_keyfile=tls.keyfile,
        ssl_cert_reqs=tls.cert_reqs,
        ssl_check_hostname=tls.check_hostname,
        **asked,
    )
    return Link(cast("Raw", secure))
