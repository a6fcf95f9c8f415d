"""Opening a wire to Redis, wherever it is, and the wire itself: deadlines, retries, scripts, up and down."""

import asyncio
import random as chance
import time
from collections.abc import AsyncGenerator
from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

from state.breaker import Breaker
from state.redis.address import DEADLINE_S
from state.redis.address import Address
from state.redis.calls import Seen
from state.redis.calls import packed
from state.redis.gathering import Crowded
from state.redis.keys import Keys
from state.redis.line import CONNECTING_LEAST_S
from state.redis.replies import Broken
from state.redis.replies import Wrong
from state.redis.routes import Route
from state.redis.routes import Straight
from state.redis.wire import Away
from state.redis.wire import Part
from state.redis.wire import Script
from state.redis.wire import Wire

if TYPE_CHECKING:
    from state.redis.link import Link

_PAUSE_S = 0.004
_PAUSE_MOST_S = 0.05
_SILENCE_S = 1.0
"""Of a channel, before its server is asked whether it is there; and then for its answer."""


def open_wire(
    address: Address,
    *,
    pool_size: int = 10,
    retries: int = 3,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] = chance.random,
) -> "RedisWire":
    """A wire that connects when it is first used. `pool_size`: connections for calls, beside those for messages."""
    from state.redis import dialling  # noqa: PLC0415 - redis takes long to import, and not everybody needs it

    def route(seen: Seen) -> Route:
        return dialling.route_to(address, seen, home=_home(address.prefix), lines=pool_size)

    return RedisWire(
        route, Breaker(clock, random), prefix=address.prefix, deadline_s=address.deadline_s, retries=retries
    )


def wire_over(client: Any, *, prefix: str = "uds", deadline_s: float = DEADLINE_S) -> Wire:
    """A wire over connections that a client of redis-py makes, such as one of fakeredis."""
    from state.redis import dialling  # noqa: PLC0415 - as above

    def route(seen: Seen) -> Route:
        return Straight(dialling.dial_by(client), seen, lines=1, deadline_s=deadline_s)

    return RedisWire(route, Breaker(time.monotonic, chance.random), prefix=prefix, deadline_s=deadline_s, retries=3)


class RedisWire:
    """A `Wire` over whichever route."""

    def __init__(
        self, route: Callable[[Seen], Route], breaker: Breaker, *, prefix: str, deadline_s: float, retries: int
    ) -> None:
        self.connections = 0
        """How many were made so far for calls: with a new one, another server may answer than before."""
        self._breaker = breaker
        self._home = _home(prefix)
        self._deadline_s = deadline_s
        self._retries = retries
        self._watchers: list[Callable[[bool, str], None]] = []
        self._probing: asyncio.Task[None] | None = None
        self._links: set[Link] = set()
        self._closed = False
        self._route = route(self)

    async def call(self, *parts: Part, key: str) -> Any:
        return _plain(await self._asked(packed(parts), key, again=False, alone=True))

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Part], *, again: bool) -> Any:
        rest = (len(keys), *keys, *arguments)
        reply = await self._asked(packed(("EVALSHA", script.digest, *rest)), keys[0], again=again, alone=False)
        if isinstance(reply, Wrong) and reply.unknown_script:
            reply = await self._asked(packed(("EVAL", script.text, *rest)), keys[0], again=again, alone=False)
        return _plain(reply)

    async def messages(self, channel: str) -> AsyncGenerator[bytes]:
        self._see_whether_up()
        link: Link | None = None
        try:
            async with asyncio.timeout(max(CONNECTING_LEAST_S, 4 * self._deadline_s)):
                link = await self._route.listening(self._home)
                self._links.add(link)
                await link.send(packed(("SUBSCRIBE", channel)))
                _plain(await link.read())
            yield b""
            while True:
                yield await _heard(link)
        except TimeoutError:
            raise Away("no answer in time", sent=False) from None
        except Broken as broken:
            if broken.final:
                _plain(broken.answer)
            self.broke(broken.reason)
            raise Away(broken.reason, sent=False) from None
        finally:
            if link is not None:
                self._links.discard(link)
                await link.close()

    @property
    def up(self) -> bool:
        return self._breaker.up

    def watch(self, told: Callable[[bool, str], None]) -> None:
        self._watchers.append(told)

    async def aclose(self) -> None:
        self._closed = True
        probing, self._probing = self._probing, None
        if probing is not None:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
        await asyncio.gather(self._route.aclose(), *(link.close() for link in self._links))

    def connected(self) -> None:
        self.connections += 1

    def answered(self) -> None:
        self._breaker.answered()

    def timed_out(self, reason: str) -> None:
        if self._breaker.timed_out(reason):
            self._went_down()

    def refused(self, reason: str) -> None:
        if self._breaker.refused(reason):
            self._went_down()

    def broke(self, reason: str) -> None:
        """Look at once whether it comes back, so that nobody has to find out by a call of their own."""
        del reason
        if self._probing is None and not self._closed:
            self._probing = asyncio.create_task(self._probe(0.0), name="redis probe")

    async def _asked(self, command: bytes, key: str, *, again: bool, alone: bool) -> Any:
        """Ask until there is an answer, or asking again could do harm or comes too late. Raises Away."""
        end_at = time.monotonic() + 2 * self._deadline_s
        sent = False
        for attempt in range(self._retries + 1):
            try:
                reply = await self._asked_once(command, key, end_at, alone=alone)
            except Away as away:
                away.sent = away.sent or sent
                raise
            if not isinstance(reply, Away):
                return reply
            sent = reply.sent = reply.sent or sent  # an earlier attempt may have been carried out
            pause_s = min(_PAUSE_S * 2**attempt, _PAUSE_MOST_S) * (0.5 + self._breaker.random())
            last = attempt == self._retries or time.monotonic() + pause_s >= end_at
            if last or isinstance(reply, Crowded) or (reply.sent and not again):
                raise reply
            await asyncio.sleep(pause_s)
        raise AssertionError  # the last attempt returns or raises

    async def _asked_once(self, command: bytes, key: str, end_at: float, *, alone: bool) -> Any:
        """`Away` is given back, for whoever decides whether to ask again; while it is known to be away it is raised."""
        self._see_whether_up()
        within_s = min(self._deadline_s, end_at - time.monotonic())
        try:
            reply = await self._route.ask(command, key=key, within_s=within_s, alone=alone)
        except Away as away:
            return away
        if isinstance(reply, Wrong) and reply.not_now:
            self.broke(reply.not_now)
            return reply.error()
        return reply

    def _see_whether_up(self) -> None:
        if self._closed:
            raise Away("it was let go", sent=False)
        if not self._breaker.up:
            away = Away(self._breaker.reason, sent=False)
            away.retry_after_s = self._breaker.retry_after_s
            raise away

    def _went_down(self) -> None:
        self._route.renew()
        self._tell()
        self.broke(self._breaker.reason)

    async def _probe(self, pause_s: float) -> None:
        """Ask until it can be asked for what is needed: a write, which here has nothing to do."""
        await asyncio.sleep(pause_s)
        while (reason := await self._fault()) and not self._breaker.up:  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(self._breaker.next_probe_s())
        self._probing = None
        if not reason and self._breaker.probed():
            self._tell()

    async def _fault(self) -> str:
        """Why it cannot be written to. Empty: it can."""
        try:
            reply = await self._route.ask(packed(("DEL", self._home)), key=self._home, within_s=self._deadline_s)
        except Away as away:
            return str(away)
        reason = reply.not_now if isinstance(reply, Wrong) else ""
        if reason:
            self.refused(reason)
        return reason

    def _tell(self) -> None:
        for told in tuple(self._watchers):
            told(self._breaker.up, self._breaker.reason)


def _home(prefix: str) -> str:
    """A key beside everything that is state: where it cannot be written, state cannot."""
    return f"{Keys(prefix=prefix).tag}probe"


def _plain(reply: Any) -> Any:
    """Raises what an error reply means."""
    if isinstance(reply, Wrong):
        raise reply.error()
    return reply


async def _heard(link: "Link") -> bytes:
    """The next message of a channel. Raises Broken when the server does not even say that there is none."""
    silent = False
    while True:
        said = await link.read(within_s=_SILENCE_S)
        if said is None and silent:
            raise Broken(f"it was silent for {2 * _SILENCE_S:g} s")
        if said is None:
            await link.send(packed(("PING",)))
        silent = said is None
        if isinstance(said, Wrong):
            raise Broken(said.text, answer=said)
        match said:
            case [b"message", _, bytes(body)]:
                return body
            case _:
                continue
