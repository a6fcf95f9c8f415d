"""What many clients do to a few sessions through all servers at once, and a record of everything they were told.

Every client calls one thing after the other, each at a server drawn by chance. Context values are registers: read,
written, and swapped under an etag. Findings are only added; an answer that is lost is asked for again elsewhere, with
the same idempotency key. No value is written twice.
"""

import asyncio
import random
import time
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from math import inf
from typing import Any

from tests.linearizable import Operation
from tests.uds_process import Caller
from tests.uds_process import Told
from tests.uds_process import callers

KEYS = ("a", "b", "c")
_AGAIN_MOST = 3
_REST_S = 0.01
"""Between the calls of a client whose last one came to nothing, so that it does not spin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A value that somebody wanted kept."""

    session: str
    value: str
    field: str
    """`finding`, or the key of a context value."""
    acknowledged: bool
    degraded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """How long a call took."""

    began_at: float
    took_s: float
    server: int
    outcome: str
    """`ok`, `degraded`, `lost`, or the code of a refusal."""


@dataclass(slots=True, kw_only=True)
class Record:
    """All of one run."""

    operations: list[Operation] = field(default_factory=list[Operation])
    kept: list[Kept] = field(default_factory=list[Kept])
    timed: list[Timed] = field(default_factory=list[Timed])
    refusals: list[str] = field(default_factory=list[str])

    @property
    def acknowledged(self) -> list[Kept]:
        return [each for each in self.kept if each.acknowledged]

    @property
    def was_degraded(self) -> bool:
        return any(each.outcome == "degraded" for each in self.timed)

    def outcomes(self) -> dict[str, int]:
        """How many calls came to what."""
        counted: dict[str, int] = {}
        for each in self.timed:
            counted[each.outcome] = counted.get(each.outcome, 0) + 1
        return dict(sorted(counted.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Who calls what. No call is begun after `seconds`, or once `enough` says so."""

    addresses: Sequence[str]
    sessions: Sequence[str]
    clients: int
    seconds: float
    seed: int
    within_s: float = 5.0
    pause_s: float = 0.0
    """Each client rests so long after a call."""
    enough: Callable[[], bool] = lambda: False


async def loaded(load: Load, record: Record) -> None:
    """Run the load, and write into `record` what came of it."""
    until_at = time.monotonic() + load.seconds
    await asyncio.gather(*(_client(load, record, number, until_at) for number in range(load.clients)))


async def _client(load: Load, record: Record, number: int, until_at: float) -> None:
    chance = random.Random(f"{load.seed}/{number}")  # noqa: S311 - who does what is no secret
    async with callers(load.addresses, within_s=load.within_s) as servers:
        client = _Client(f"c{number}-{load.seed}", servers, record, chance)
        while time.monotonic() < until_at and not load.enough():
            await client.act(chance.choice(load.sessions))
            await asyncio.sleep(load.pause_s)


class _Client:
    """One who does one thing after the other."""

    def __init__(self, name: str, servers: Sequence[Caller], record: Record, chance: random.Random) -> None:
        self._name = name
        self._servers = servers
        self._record = record
        self._chance = chance
        self._count = 0

    async def act(self, session: str) -> None:
        draw = self._chance.random()
        if draw < 0.35:
            await self.read(session)
        elif draw < 0.60:
            await self.write(session)
        elif draw < 0.70:
            await self.swap(session)
        else:
            await self.find(session)

    async def read(self, session: str) -> Told:
        called_at, told = await self._call("recall", session=session)
        if told.answer is not None:
            self._note(session, told, called_at, act="read", seen=dict(told.answer["context"]))
        return told

    async def write(self, session: str) -> None:
        key, value = self._chance.choice(KEYS), self._value()
        called_at, told = await self._call("remember", session=session, kind="context", key=key, value=value)
        self._note(session, told, called_at, act="write", key=key, value=value)

    async def swap(self, session: str) -> None:
        """Read, and write on the condition that nobody did so in between."""
        before = await self.read(session)
        if before.answer is None or before.degraded:
            return
        key, value = self._chance.choice(KEYS), self._value()
        expected = before.answer["context"].get(key)
        called_at, told = await self._call(
            "remember", session=session, kind="context", key=key, value=value, expect=before.answer["etag"]
        )
        if told.code == "conflict":
            # Only a conflict that names the field says that the register moved.
            if told.refusal is not None and f"context.{key}" in told.refusal:
                self._note(session, told, called_at, act="refused", key=key, value=value, expected=expected)
            return
        self._note(session, told, called_at, act="swap", key=key, value=value, expected=expected)

    async def find(self, session: str) -> None:
        """Keep a finding; asked again, with the same key, as long as no answer comes."""
        value = self._value()
        wanted = {"session": session, "kind": "finding", "value": value, "idempotency_key": f"key {value}"}
        _, told = await self._call("remember", **wanted)
        for _ in range(_AGAIN_MOST):
            if told.is_lost:
                _, told = await self._call("remember", **wanted)
        self._keep(session, "finding", value, told)

    async def _call(self, tool: str, **arguments: Any) -> tuple[float, Told]:
        server = self._chance.randrange(len(self._servers))
        called_at = time.monotonic()
        told = await self._servers[server].call(tool, **arguments)
        outcome = told.code or ("degraded" if told.degraded else "lost" if told.answer is None else "ok")
        took_s = time.monotonic() - called_at
        if told.sent:
            self._record.timed.append(Timed(began_at=called_at, took_s=took_s, server=server, outcome=outcome))
        if told.refusal is not None:
            self._record.refusals.append(told.refusal)
        if told.answer is None:
            await asyncio.sleep(_REST_S)
        return called_at, told

    def _note(self, session: str, told: Told, called_at: float, **operation: Any) -> None:
        """Refusals other than conflicts may hide a write that happened: they are as good as no answer."""
        if not told.sent:
            return
        answered = told.answer is not None or operation["act"] == "refused"
        noted = Operation(
            session=session,
            client=self._name,
            called_at=called_at,
            returned_at=time.monotonic() if answered else inf,
            version=None if told.answer is None else told.answer["version"],
            degraded=told.degraded is not None,
            **operation,
        )
        self._record.operations.append(noted)
        if noted.writes:
            self._keep(session, str(noted.key), str(noted.value), told)

    def _keep(self, session: str, where: str, value: str, told: Told) -> None:
        kept = Kept(
            session=session,
            value=value,
            field=where,
            acknowledged=told.answer is not None,
            degraded=told.degraded is not None,
        )
        self._record.kept.append(kept)

    def _value(self) -> str:
        self._count += 1
        return f"{self._name}-{self._count}"


async def opened(address: str, count: int) -> list[str]:
    """New sessions."""
    async with callers([address], within_s=20.0) as (server,):
        return [(await server.ask("open_session", label=f"chaos {number}"))["session"] for number in range(count)]
