"""Whatever is done to sessions in Redis: it answers as the journal in a file does, and what it counts is right."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from state.errors import OverLimit
from state.journal import AlreadyOpened
from state.journal import Draft
from state.journal import Head
from state.journal import Quota
from state.journal import VersionMoved
from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.journal import RedisJournal
from state.redis.keys import Keys
from state.redis.wire import Wire
from state.sqlite.journal import SqliteJournal
from tests.conftest import ManualClock
from tests.contracts.journal_contract import folded
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary

_QUOTA = Quota(sessions=4, events=30, size_bytes=3_000)
_STEPS = 250
_SESSIONS = [f"s{number}" for number in range(7)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if redis_binary() is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def wire(server: RedisServer) -> AsyncIterator[Wire]:
    server.ask("FLUSHALL")
    wire = open_wire(parse(f"{server.url}?socket_timeout=5"))
    yield wire
    await wire.aclose()


class _Pair:
    """Two journals to which the same is done."""

    def __init__(self, redis: RedisJournal, file: SqliteJournal, clock: ManualClock, chance: random.Random) -> None:
        self.redis = redis
        self.file = file
        self._clock = clock
        self._chance = chance
        self.outcomes: Counter[str] = Counter()

    async def step(self) -> None:
        chance, session_id = self._chance, self._chance.choice(_SESSIONS)
        match chance.randrange(10):
            case 0:
                self._clock.advance(chance.choice([0.5, 5.0, 40.0]))
            case 1:
                ends = self._clock() + chance.choice([0.5, 50.0])
                for journal in (self.redis, self.file):
                    await journal.touch(session_id, expires_at=ends)
            case 2:
                await self._compact(session_id)
            case _:
                await self._append(session_id)
        await self._alike(session_id)

    async def _append(self, session_id: str) -> None:
        chance, now = self._chance, self._clock()
        chapter = await self.file.read(session_id)
        head = None if chapter is None or chance.random() < 0.1 else chapter.head
        owner = chance.choice(["ann", "bob"]) if chapter is None else chapter.events[0].actor
        drafts = [
            Draft(at=now, kind="noted", actor=owner, body={"text": "x" * chance.randrange(200)}, key=key)
            for key in [chance.choice([None, "k1", "k2"]), *[None] * chance.randrange(3)]
        ]
        ends = now + chance.choice([0.0, 10.0, 60.0, 60.0])
        nonce = f"{chance.getrandbits(64):016x}"

        async def append(journal: RedisJournal | SqliteJournal) -> Head:
            return await journal.append(session_id, expected=head, drafts=drafts, expires_at=ends, nonce=nonce)

        await self._both(append)

    async def _compact(self, session_id: str) -> None:
        chapter = await self.file.read(session_id)
        if chapter is None:
            return
        event = self._chance.choice(chapter.events)
        checkpoint = folded(Head(version=event.version, nonce=event.nonce))
        draft = Draft(at=self._clock(), kind="compacted", actor=event.actor, body={})
        heads = [
            await journal.compact(session_id, expected=chapter.head, checkpoint=checkpoint, draft=draft)
            for journal in (self.redis, self.file)
        ]
        assert heads[0].version == heads[1].version
        # The nonces of compactions are the journals' own; what comes next needs one history.
        for journal, head in zip((self.redis, self.file), heads, strict=True):
            await journal.append(session_id, expected=head, drafts=[draft], expires_at=self._clock())
        self.outcomes["compacted"] += 1

    async def _both(self, act: Any) -> None:
        outcomes: list[str] = []
        for journal in (self.redis, self.file):
            try:
                outcomes.append((await act(journal)).etag)
            except (VersionMoved, AlreadyOpened, OverLimit) as refusal:
                outcomes.append(f"{type(refusal).__name__} {refusal}")
        assert outcomes[0] == outcomes[1]
        self.outcomes[outcomes[0].split()[0] if " " in outcomes[0] else "written"] += 1

    async def _alike(self, session_id: str) -> None:
        there, here = [await journal.read(session_id) for journal in (self.redis, self.file)]
        assert (there is None) == (here is None)
        if there is not None and here is not None:
            assert (there.head, there.events, there.size_bytes) == (here.head, here.events, here.size_bytes)
            assert (there.accessed_at, there.expires_at) == (here.accessed_at, here.expires_at)
            verdict = await self.redis.verify(session_id)
            assert verdict is not None
            assert verdict.ok, verdict.fault
        for owner in ("ann", "bob"):
            assert set(await self.redis.sessions(owner)) == set(await self.file.sessions(owner))


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(4))
async def test_redis_answers_as_a_file_does_and_counts_what_there_is(
    tmp_path: Path, wire: Wire, clock: ManualClock, seed: int
) -> None:
    redis = RedisJournal(
        wire, keys=Keys(), clock=clock, origin="here", quota=_QUOTA, kept_past_s=100.0, shared_clock=clock
    )
    file = SqliteJournal(tmp_path / "journal.db", clock=clock, quota=_QUOTA, kept_past_s=100.0)
    pair = _Pair(redis, file, clock, random.Random(seed))  # noqa: S311 - anything will do, if it is the same each time
    for _ in range(_STEPS):
        await pair.step()
        await _check_counts(wire)
    assert {"written", "VersionMoved", "AlreadyOpened", "OverLimit", "compacted"} <= set(pair.outcomes), pair.outcomes
    await redis.aclose()
    await file.aclose()


async def _check_counts(wire: Wire) -> None:
    """Everything that is counted or listed agrees with the headers."""
    tag = Keys().tag
    owners: dict[str, Counter[str]] = {"ann": Counter(), "bob": Counter()}
    live: set[str] = set()
    for session_id in _SESSIONS:
        header = await _hash(wire, f"{tag}h:{session_id}")
        if not header:
            continue
        counts, events = owners[header["o"]], int(header["v"]) - int(header["c"])
        if "z" in header:
            counts["p"] += int(header["b"]) + 512
            continue
        live.add(session_id)
        counts += Counter(s=1, e=events, b=int(header["b"]))
        owners[header["o"]] = counts
        assert await wire.call("LLEN", f"{tag}e:{session_id}", key=tag) == events
    for owner, counts in owners.items():
        held = {name: int(value) for name, value in (await _hash(wire, f"{tag}q:{owner}")).items() if int(value)}
        assert held == {name: value for name, value in counts.items() if value}
        assert await wire.call("ZCARD", f"{tag}o:{owner}", key=tag) == counts["s"]
    assert {each.decode() for each in await wire.call("ZRANGE", f"{tag}ends", 0, -1, key=tag)} == live
    together = {name: int(value) for name, value in (await _hash(wire, f"{tag}held")).items() if int(value)}
    expected = owners["ann"] + owners["bob"]
    assert together == {name: expected[name] for name in ("s", "e", "b") if expected[name]}


async def _hash(wire: Wire, key: str) -> dict[str, str]:
    parts = [each.decode(errors="replace") for each in await wire.call("HGETALL", key, key=key)]
    return dict(zip(parts[::2], parts[1::2], strict=True))
