"""What the journal in Redis promises beyond the contract: several instances over one server, by Redis's own time."""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator
from collections.abc import AsyncIterator
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from state.errors import OverLimit
from state.errors import StateUnavailable
from state.journal import AlreadyOpened
from state.journal import Head
from state.journal import Piece
from state.journal import Quota
from state.journal import VersionMoved
from state.redis.address import parse
from state.redis.connect import open_wire
from state.redis.journal import RedisJournal
from state.redis.keys import Keys
from state.redis.lua_lists import READ
from state.redis.lua_lives import GRACE_S
from state.redis.lua_lives import SLACK_S
from state.redis.lua_writing import CHECKPOINTS
from state.redis.wire import Part
from state.redis.wire import Script
from state.redis.wire import Wire
from tests.conftest import ManualClock
from tests.contracts.journal_contract import SCANT
from tests.contracts.journal_contract import draft
from tests.contracts.journal_contract import folded
from tests.contracts.journal_contract import found
from tests.contracts.journal_contract import went_on
from tests.contracts.journal_contract import written
from tests.redis_server import RedisServer
from tests.redis_server import redis_binary

Opened = Callable[..., Awaitable[RedisJournal]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if redis_binary() is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    running.ask("FLUSHALL")
    return running


@pytest.fixture
async def opened(server: RedisServer, clock: ManualClock) -> AsyncIterator[Opened]:
    """Opens journals, each an instance of its own; all go by `clock` unless they are told otherwise."""
    async with AsyncExitStack() as stack:
        names = map(str, itertools.count())

        async def journal(
            *,
            quota: Quota = Quota(),  # noqa: B008 - frozen
            kept_past_s: float = 1_000.0,
            past_bytes: int | None = None,
            past_sessions: int = 5_000,
            own_clock: Callable[[], float] | None = None,
            deadline_s: float = 2.0,
        ) -> RedisJournal:
            wire = open_wire(parse(f"{server.url}?socket_timeout={deadline_s:g}"))
            stack.push_async_callback(wire.aclose)
            made = RedisJournal(
                wire,
                keys=Keys(),
                clock=own_clock or clock,
                origin=f"instance {next(names)}",
                quota=quota,
                kept_past_s=kept_past_s,
                past_bytes=past_bytes,
                past_sessions=past_sessions,
                shared_clock=None if own_clock else clock,
            )
            stack.push_async_callback(made.aclose)
            return made

        yield journal


def _asked(server: RedisServer, *parts: str) -> str:
    return server.ask(*parts).decode(errors="replace")


def _keys(server: RedisServer) -> list[str]:
    return sorted(each for each in _asked(server, "KEYS", "*").split("\r\n") if each[:1] not in {"*", "$", ""})


def _pieces(*texts: str) -> tuple[Piece, ...]:
    """One append of two events for each text, which is its nonce as well."""
    return tuple(Piece(nonce=each, drafts=(draft({"text": each}), draft({"text": each, "n": 2}))) for each in texts)


async def _until(true: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(5):
        while not await true():  # noqa: ASYNC110 - another instance does it, in its own time
            await asyncio.sleep(0.02)


@pytest.mark.anyio
async def test_what_one_instance_wrote_every_other_reads(opened: Opened, clock: ManualClock) -> None:
    one, two = await opened(), await opened()
    first = await written(one, clock, "s", {"n": 1}, {"n": 2})
    second = await went_on(two, clock, "s", first, {"n": 3})
    one.keep_checkpoint("s", folded(second))
    third = await went_on(one, clock, "s", second, {"n": 4})
    for journal in (one, two):
        chapter = await found(journal, "s", after=2)
        assert (chapter.head, [event.body["n"] for event in chapter.events]) == (third, [3, 4])
        assert chapter.before == first.nonce, "a reader that holds another history notices"
        assert await journal.checkpoint("s") == folded(second)
        assert await journal.sessions("ann") == ("s",)
        verdict = await journal.verify("s")
        assert verdict is not None
        assert (verdict.ok, verdict.events) == (True, 4)
    last = await two.compact("s", expected=third, checkpoint=folded(second), draft=draft({"n": 5}))
    chapter = await found(one, "s", after=3)
    assert (chapter.head, chapter.before) == (last, second.nonce)


@pytest.mark.anyio
async def test_writers_of_several_instances_all_get_their_event_in_once(opened: Opened, clock: ManualClock) -> None:
    journals = [await opened() for _ in range(3)]
    await written(journals[0], clock, "s")

    async def write(journal: RedisJournal, number: int) -> None:
        while True:
            head = (await found(journal, "s")).head
            try:
                await went_on(journal, clock, "s", head, {"writer": number})
            except VersionMoved:
                continue
            return

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for number in range(24):
                tasks.start_soon(write, journals[number % 3], number)
    events = (await found(journals[0], "s")).events
    assert sorted(event.body["writer"] for event in events[1:]) == list(range(24))
    verdict = await journals[1].verify("s")
    assert verdict is not None
    assert verdict.ok


@pytest.mark.anyio
async def test_clocks_that_are_ten_minutes_apart_change_nothing(opened: Opened) -> None:
    slow, right = ManualClock(1_000.0), ManualClock(1_600.0)
    one, two = await opened(own_clock=slow), await opened(own_clock=right)
    await one.append("s", expected=None, drafts=[draft()], expires_at=slow() + 100)
    await two.append("t", expected=None, drafts=[draft()], expires_at=right() + 100)
    for journal, clock in ((one, slow), (two, right)):
        assert await journal.sessions("ann") == ("t", "s")
        for session_id in ("s", "t"):
            chapter = await found(journal, session_id)
            assert chapter.expires_at == pytest.approx(clock() + 100, abs=5)  # pyright: ignore[reportUnknownMemberType]
            assert chapter.accessed_at == pytest.approx(clock(), abs=5)  # pyright: ignore[reportUnknownMemberType]
    await one.touch("s", expires_at=slow() + 1)  # so close to the end that it is told at once
    await _until(lambda: _ends_within(two, "s", right() + 5))
    await two.append("t", expected=(await found(two, "t")).head, drafts=[draft()], expires_at=right())
    assert await one.read("t") is None
    assert await one.past("ann") == ("t",)


async def _ends_within(journal: RedisJournal, session_id: str, at: float) -> bool:
    chapter = await journal.read(session_id)
    return chapter is None or chapter.expires_at <= at


@pytest.mark.anyio
async def test_a_session_ends_by_the_time_of_redis(opened: Opened) -> None:
    stopped = ManualClock(50.0)
    journal = await opened(own_clock=stopped)
    await journal.append("s", expected=None, drafts=[draft()], expires_at=stopped() + 0.2)
    assert await journal.sessions("ann") == ("s",)
    await _until(lambda: _is_gone(journal, "s"))
    assert await journal.past("ann") == ("s",)


async def _is_gone(journal: RedisJournal, session_id: str) -> bool:
    return await journal.read(session_id) is None


@pytest.mark.anyio
async def test_a_touch_is_seen_here_at_once_and_by_others_soon(opened: Opened, clock: ManualClock) -> None:
    one, two = await opened(), await opened()
    await written(one, clock, "s")
    await written(one, clock, "t")
    clock.advance(1)
    await one.touch("s", expires_at=clock() + 500)
    assert (await found(one, "s")).expires_at == clock() + 500
    assert await one.sessions("ann") == ("s", "t")
    await _until(lambda: _ends_after(two, "s", clock() + 499))
    assert await two.sessions("ann") == ("s", "t")


async def _ends_after(journal: RedisJournal, session_id: str, at: float) -> bool:
    return (await found(journal, session_id)).expires_at > at


@pytest.mark.anyio
async def test_touches_that_wait_are_told_when_the_journal_is_closed(opened: Opened, clock: ManualClock) -> None:
    one, two = await opened(), await opened()
    await written(one, clock, "s")
    await one.touch("s", expires_at=clock() + 500)
    await one.aclose()
    assert (await found(two, "s")).expires_at == clock() + 500
    with pytest.raises(StateUnavailable):
        await one.read("s")


@pytest.mark.anyio
async def test_what_is_asked_twice_is_written_once(opened: Opened, clock: ManualClock) -> None:
    journal = await opened(kept_past_s=0)
    ends = clock() + 100

    async def twice(expected: Head | None, nonce: str, expires_at: float) -> Head:
        drafts = [draft(key="once")]
        one, two = [
            await journal.append("s", expected=expected, drafts=drafts, expires_at=expires_at, nonce=nonce)
            for _ in range(2)
        ]
        assert one == two
        return two

    first = await twice(None, "first", ends)
    second = await twice(first, "second", ends)
    other = await went_on(await opened(), clock, "s", second, {"other": 1})
    again = await journal.append("s", expected=first, drafts=[draft()], expires_at=ends, nonce="second")
    assert again == second, "it was written, whatever was written after it"
    with pytest.raises(VersionMoved) as refused:
        await journal.append("s", expected=first, drafts=[draft()], expires_at=ends, nonce="third")
    assert refused.value.head == other
    assert (await found(journal, "s")).head == other
    last = await twice(other, "last", clock())
    assert (last, await journal.read("s")) == (Head(version=4, nonce="last"), None)


@pytest.mark.anyio
async def test_every_write_is_numbered_logged_and_called_out(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    journal = await opened()
    head = await written(journal, clock, "s/1", {}, {})
    await went_on(journal, clock, "s/1", head)
    log = [each for each in _asked(server, "XRANGE", Keys().log, "-", "+").split("\r\n") if each.startswith("[")]
    assert [json.loads(each) for each in log] == [["instance 0", "s", "s/1", 2], ["instance 0", "s", "s/1", 3]]
    assert _asked(server, "GET", Keys().sequence).split("\r\n")[1] == "2"


@pytest.mark.anyio
async def test_several_appends_are_brought_in_one_step_each_with_its_nonce(opened: Opened, clock: ManualClock) -> None:
    journal = await opened()
    ends = clock() + 100
    head = await journal.append_as("s", expected=None, pieces=_pieces("a", "b"), expires_at=ends)
    assert head == Head(version=4, nonce="b")
    head = await journal.append_as("s", expected=head, pieces=_pieces("c", "d"), expires_at=ends)
    again = await journal.append_as("s", expected=Head(version=4, nonce="b"), pieces=_pieces("c", "d"), expires_at=ends)
    chapter = await found(journal, "s")
    assert again == head == chapter.head
    assert [event.nonce for event in chapter.events] == ["a", "a", "b", "b", "c", "c", "d", "d"]
    verdict = await journal.verify("s")
    assert verdict is not None
    assert verdict.ok


@pytest.mark.anyio
async def test_what_is_forced_asks_for_no_quota_and_leaves_keys_to_those_who_have_them(
    opened: Opened, clock: ManualClock
) -> None:
    journal = await opened(quota=SCANT)
    for each in ("a", "b", "c"):
        await written(journal, clock, each)
    await journal.append("a", expected=(await found(journal, "a")).head, drafts=[draft()], expires_at=clock())
    await journal.append("x", expected=None, drafts=[draft(key="once")], expires_at=clock() + 100)
    pieces = (Piece(nonce="brought", drafts=(draft(key="once"),)),)
    with pytest.raises(AlreadyOpened):
        await journal.append_as("y", expected=None, pieces=pieces, expires_at=clock() + 100)
    with pytest.raises(OverLimit):
        await journal.append_as("y", expected=None, pieces=_pieces("n"), expires_at=clock() + 100)
    await journal.append_as("y", expected=None, pieces=pieces, expires_at=clock() + 100, forced=True)
    assert (await found(journal, "y")).events[0].key == "once"
    with pytest.raises(AlreadyOpened) as refused:
        await journal.append_as("z", expected=None, pieces=pieces, expires_at=clock() + 100)
    assert refused.value.session_id == "x"


@pytest.mark.anyio
async def test_an_ended_session_is_looked_at_and_lives_again(opened: Opened, clock: ManualClock) -> None:
    one, two = await opened(), await opened()
    head = await one.append("s", expected=None, drafts=[draft(key="once")], expires_at=clock() + 100)
    end = await one.append("s", expected=head, drafts=[draft({"last": 1})], expires_at=clock())
    await written(one, clock, "expired")
    await written(one, clock, "live")
    clock.advance(50)
    await one.touch("live", expires_at=clock() + 500)
    await _until(lambda: _ends_after(two, "live", clock() + 499))
    clock.advance(50)
    assert await one.past("ann") == ("expired", "s")
    chapter = await two.read_past("s")
    assert chapter is not None
    assert (chapter.head, len(chapter.events)) == (end, 2)
    assert [await one.read_past(each) for each in ("live", "nobody")] == [None, None]
    assert await two.revive("s", expires_at=clock() + 100) == end
    revived = await two.revive("expired", expires_at=clock() + 100)
    assert revived == (await found(one, "expired")).head
    assert (await two.past("ann"), set(await one.sessions("ann"))) == ((), {"live", "s", "expired"})
    with pytest.raises(AlreadyOpened):
        await one.append("t", expected=None, drafts=[draft(key="once")], expires_at=clock() + 100)
    await went_on(one, clock, "s", end)
    assert (one.statistics().sessions, one.statistics().events) == (3, 5)
    assert await two.revive("nobody", expires_at=clock() + 100) is None


@pytest.mark.anyio
async def test_marks_tell_of_all_sessions_of_an_owner(opened: Opened, clock: ManualClock) -> None:
    journal = await opened()
    head = await written(journal, clock, "closed")
    end = await went_on(journal, clock, "closed", head)
    end = await journal.append("closed", expected=end, drafts=[draft()], expires_at=clock())
    await written(journal, clock, "expired")
    clock.advance(100)
    live = await written(journal, clock, "live", {"n": 1})
    await journal.touch("live", expires_at=clock() + 7)
    marks = await journal.marks("ann")
    assert {each: (mark.version, mark.nonce, mark.ended_at) for each, mark in marks.items() if each != "expired"} == {
        "closed": (end.version, end.nonce, clock() - 100),
        "live": (live.version, live.nonce, None),
    }
    assert (marks["expired"].ended_at, marks["live"].expires_at) == (clock(), clock() + 7)
    assert marks["live"].size_bytes == (await found(journal, "live")).size_bytes
    clock.advance(900)
    assert set(await journal.marks("ann")) == {"expired", "live"}
    assert await journal.marks("bob") == {}


@pytest.mark.anyio
async def test_ended_sessions_are_kept_for_a_while_and_no_longer(opened: Opened, clock: ManualClock) -> None:
    journal, forgetful = await opened(), await opened(kept_past_s=0)
    await written(journal, clock, "s", {"n": 1})
    clock.advance(100)
    assert await forgetful.past("ann") == ()
    assert await forgetful.read_past("s") is None
    clock.advance(999)
    assert await journal.past("ann") == ("s",)
    clock.advance(1)
    assert (await journal.past("ann"), await journal.read_past("s"), await journal.held()) == ((), None, ("s",))
    assert await journal.revive("s", expires_at=clock() + 1) is None


@pytest.mark.anyio
async def test_of_ended_sessions_the_oldest_give_way_when_they_hold_too_much(
    opened: Opened, clock: ManualClock
) -> None:
    journal = await opened(past_bytes=4_500)
    for number in range(6):
        head = await written(journal, clock, f"s{number}", {"text": "x" * 800})
        clock.advance(1)
        await journal.append(f"s{number}", expected=head, drafts=[draft()], expires_at=clock())
    assert await journal.past("ann") == ("s5", "s4", "s3")
    frugal = await opened(past_sessions=1)
    await written(frugal, clock, "any")
    assert await journal.past("ann") == ("s5",)


@pytest.mark.anyio
async def test_all_that_is_kept_of_state_lies_in_one_slot_and_nothing_stays_when_all_is_over(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    journal = await opened(kept_past_s=10)
    for name in ("a", "{b}", "c:{d}"):
        head = await journal.append(
            name, expected=None, drafts=[draft(actor=f"{{{name}}}", key="once")], expires_at=clock() + 100
        )
        journal.keep_checkpoint(name, folded(head))
        await went_on(journal, clock, name, head)
        assert await journal.checkpoint(name) == folded(head)
    clock.advance(60)
    await journal.append("z", expected=None, drafts=[draft()], expires_at=clock() + 500)
    head = await journal.append("e", expected=None, drafts=[draft()], expires_at=clock())
    assert await journal.revive("e", expires_at=clock() + 1) == head
    for _ in range(2):
        assert {_asked(server, "CLUSTER", "KEYSLOT", each) for each in _keys(server)} == {
            _asked(server, "CLUSTER", "KEYSLOT", "{s}")
        }
        clock.advance(100)
        await journal.append("e", expected=None, drafts=[draft()], expires_at=clock())
    clock.advance(500)
    for _ in range(3):
        clock.advance(10 + GRACE_S)
        await journal.append("e", expected=None, drafts=[draft()], expires_at=clock())
    await journal.append("last", expected=None, drafts=[draft()], expires_at=clock())
    await journal.discard("last", expected=Head(version=1, nonce=(await journal.marks("ann"))["last"].nonce))
    await journal.discard("e", expected=Head(version=1, nonce=(await journal.marks("ann"))["e"].nonce))
    assert set(_keys(server)) == {Keys().sequence, Keys().log}


@pytest.mark.anyio
async def test_large_events_and_long_histories_are_written_and_read(opened: Opened, clock: ManualClock) -> None:
    one, two = await opened(deadline_s=10), await opened(deadline_s=10)
    await written(one, clock, "large", {"text": "x" * 2**20}, {"text": "y" * 2**20})
    assert [len(event.body["text"]) for event in (await found(two, "large")).events] == [2**20, 2**20]
    ends = clock() + 100
    head: Head | None = None
    for part in range(4):
        drafts = tuple(draft({"n": part * 2_500 + n}) for n in range(2_500))
        pieces = (Piece(nonce=f"part {part}", drafts=drafts),)
        head = await one.append_as("long", expected=head, pieces=pieces, expires_at=ends)
    chapter = await found(two, "long")
    assert [event.body["n"] for event in chapter.events] == list(range(10_000))
    assert (chapter.head, chapter.events[2_500].nonce) == (head, "part 1")
    verdict = await two.verify("long")
    assert verdict is not None
    assert (verdict.ok, verdict.events) == (True, 10_000)
    assert head is not None
    base = folded(Head(version=7_500, nonce="part 2"))
    await two.compact("long", expected=head, checkpoint=base, draft=draft())
    assert (await found(one, "long")).events[0].version == 7_501


@pytest.mark.anyio
async def test_what_is_big_goes_from_redis_even_if_no_instance_ever_comes_back(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    journal = await opened(kept_past_s=1_000)
    head = await journal.append("s", expected=None, drafts=[draft()], expires_at=clock() + 10)
    journal.keep_checkpoint("s", folded(head))
    assert await journal.checkpoint("s") == folded(head)
    for key in ("e:s", "c:s"):
        assert 1_010 < _left_s(server, key) <= 1_010 + SLACK_S
    assert _left_s(server, "h:s") < 0, "its counts are right until it is swept"
    await journal.touch("s", expires_at=clock() + 50_000)
    await journal.aclose()
    for key in ("e:s", "c:s"):
        assert 51_000 < _left_s(server, key) <= 51_000 + SLACK_S


def _left_s(server: RedisServer, key: str) -> float:
    return int(_asked(server, "PTTL", Keys().tag + key)[1:]) / 1_000


class _Noted(ThreadPoolExecutor):
    """Counts what is given to it."""

    given = 0

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        self.given += 1
        return super().submit(*args, **kwargs)


@pytest.mark.anyio
async def test_a_long_history_is_decoded_beside_the_loop_so_that_others_are_served(
    opened: Opened, clock: ManualClock
) -> None:
    journal = await opened(deadline_s=10)
    drafts = [draft({"n": n, "text": "x" * 200}) for n in range(2_000)]
    await journal.append("long", expected=None, drafts=drafts, expires_at=clock() + 100)
    with _Noted(max_workers=1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        await journal.read("long", after=1_900)
        assert threads.given == 0
        await journal.read("long")
        assert threads.given == 1


@pytest.mark.anyio
async def test_a_history_that_took_another_course_to_the_same_version_is_not_gone_on_with(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    one, two = await opened(), await opened()
    mine = await written(one, clock, "s", {"n": 1})
    server.ask("FLUSHALL")
    theirs = await written(two, clock, "s", {"n": 2})
    assert mine.version == theirs.version
    with pytest.raises(VersionMoved) as refused:
        await went_on(one, clock, "s", mine)
    assert refused.value.head == theirs


@pytest.mark.anyio
async def test_few_checkpoints_are_kept_however_many_are_made(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    journal = await opened()
    base = await written(journal, clock, "s")
    head = await journal.compact("s", expected=base, checkpoint=folded(base), draft=draft())
    for _ in range(6):
        journal.keep_checkpoint("s", folded(head))
        assert await journal.checkpoint("s") == folded(head)
        head = await went_on(journal, clock, "s", head)
    assert _asked(server, "HLEN", f"{Keys().tag}c:s") == f":{1 + CHECKPOINTS}\r\n"


@pytest.mark.anyio
async def test_a_key_that_went_back_to_a_revived_session_stays_there_when_a_later_one_ends(
    opened: Opened, clock: ManualClock
) -> None:
    journal = await opened()
    drafts = [draft(key="once")]
    first = await journal.append("first", expected=None, drafts=drafts, expires_at=clock() + 100)
    await journal.append("first", expected=first, drafts=[draft()], expires_at=clock())
    await journal.append("later", expected=None, drafts=drafts, expires_at=clock() + 100)
    clock.advance(100)
    await journal.revive("first", expires_at=clock() + 100)
    await written(journal, clock, "any")
    assert await journal.past("ann") == ("later",)
    with pytest.raises(AlreadyOpened) as refused:
        await journal.append("t", expected=None, drafts=drafts, expires_at=clock() + 100)
    assert refused.value.session_id == "first"


@pytest.mark.anyio
async def test_where_no_past_is_kept_what_a_session_held_goes_as_it_ends(
    opened: Opened, server: RedisServer, clock: ManualClock
) -> None:
    journal = await opened(kept_past_s=0)
    head = await written(journal, clock, "s", {"text": "secret"})
    journal.keep_checkpoint("s", folded(head))
    assert await journal.checkpoint("s") == folded(head)
    await journal.append("s", expected=head, drafts=[draft()], expires_at=clock())
    assert not {f"{Keys().tag}{each}" for each in ("e:s", "c:s", "ends", "o:ann")} & set(_keys(server))
    assert await journal.revive("s", expires_at=clock() + 100) is None


class _Watched:
    """A wire on which something may happen after each answer."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.after_read: list[Callable[[], Awaitable[object]]] = []
        self.reads = 0

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Part], *, again: bool) -> Any:
        answer = await self._wire.run(script, keys, arguments, again=again)
        if script is READ:
            self.reads += 1
            if self.after_read:
                await self.after_read.pop(0)()
        return answer

    async def call(self, *parts: Part, key: str) -> Any:
        return await self._wire.call(*parts, key=key)

    def messages(self, channel: str) -> AsyncGenerator[bytes]:
        return self._wire.messages(channel)

    @property
    def up(self) -> bool:
        return self._wire.up

    def watch(self, told: Callable[[bool, str], None]) -> None:
        self._wire.watch(told)

    async def aclose(self) -> None:
        await self._wire.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("meanwhile", ["nothing", "written on", "compacted", "ended", "began anew"])
async def test_what_happens_while_a_long_history_is_read_is_seen_whole_or_not_at_all(
    opened: Opened, server: RedisServer, clock: ManualClock, meanwhile: str
) -> None:
    other = await opened(deadline_s=10)
    drafts = [draft({"n": n, "text": "x" * 100_000}) for n in range(1, 41)]
    head = await other.append("s", expected=None, drafts=drafts, expires_at=clock() + 100)
    pieces = _pieces(*(f"anew {n}" for n in range(20)))
    happens: dict[str, tuple[Callable[[], Awaitable[object]], int | None, int]] = {
        "nothing": (lambda: other.read("s", after=40), 1, 40),
        "written on": (lambda: went_on(other, clock, "s", head, {"n": 41}), 1, 41),
        "compacted": (
            lambda: other.compact(
                "s", expected=head, checkpoint=folded(Head(version=30, nonce=head.nonce)), draft=draft({"n": 41})
            ),
            31,
            41,
        ),
        "ended": (lambda: other.append("s", expected=head, drafts=[draft()], expires_at=clock()), None, 0),
        "began anew": (lambda: _anew(other, clock, head, pieces), 1, 40),
    }
    happening, first, last = happens[meanwhile]
    wire = _Watched(open_wire(parse(f"{server.url}?socket_timeout=10")))
    journal = RedisJournal(wire, keys=Keys(), clock=clock, origin="watched", shared_clock=clock)
    wire.after_read.append(happening)
    chapter = await journal.read("s")
    assert wire.reads > 1, "it was read at once: this proved nothing"
    if first is None:
        assert chapter is None
    else:
        assert chapter is not None
        assert [event.version for event in chapter.events] == list(range(first, last + 1))
        assert chapter.head == (await found(other, "s", after=99)).head
        assert len({event.nonce.split()[0] for event in chapter.events}) <= 2
    await journal.aclose()
    await wire.aclose()


async def _anew(journal: RedisJournal, clock: ManualClock, head: Head, pieces: Sequence[Piece]) -> None:
    """Another history of as many events."""
    await journal.discard("s", expected=head)
    await journal.append_as("s", expected=None, pieces=pieces, expires_at=clock() + 100)
