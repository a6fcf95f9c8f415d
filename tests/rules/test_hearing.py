"""Every change is told once and in order, whatever happens to the messages; and if it cannot be, that is told."""

import asyncio
from collections.abc import AsyncGenerator
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.changes import Change
from state.changes import Missed
from state.changes import ResourceMoved
from state.changes import ResultsOutdated
from state.changes import SessionMoved
from state.redis.announcing import change_of
from state.redis.announcing import numbered
from state.redis.announcing import session_text
from state.redis.announcing import text_of
from state.redis.changes import RedisChanges
from state.redis.hearing import AHEAD_MOST
from state.redis.hearing import Hearing
from state.redis.hearing import Picture
from state.redis.keys import Keys
from state.redis.looking import LOOK_MOST
from state.redis.outbox import Outbox
from state.redis.wire import Away
from state.redis.wire import Part
from state.redis.wire import Refused
from state.redis.wire import Script
from tests.conftest import ManualClock
from tests.contracts.changes_contract import WITHIN_S
from tests.contracts.changes_contract import Ear

MISSED = "missed"


class History:
    """What the shared log would say: change `n` has the text `cn`."""

    def __init__(self, sequence: int = 0) -> None:
        self.epoch = "e"
        self.server = "m"
        self.sequence = sequence
        self.first = sequence + 1
        """Changes before it were trimmed."""
        self.most = 5
        """At once."""

    def picture(self, after: int | None) -> Picture:
        numbers = range(max(after or 0, self.first), self.sequence + 1) if after is not None else range(0)
        log = tuple((number, f"c{number}") for number in numbers[: self.most])
        return Picture(epoch=self.epoch, server=self.server, sequence=self.sequence, log=log, cut=len(log) == self.most)


class Listening:
    """A `Hearing` and all it told."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.hearing = Hearing()
        self.told: list[str] = []

    def hint(self, number: int) -> None:
        self._tell(self.hearing.heard(number, f"c{number}"))

    def look(self) -> None:
        self.finish(self.history.picture(self.hearing.ask()))

    def finish(self, picture: Picture) -> None:
        self._tell(self.hearing.seen(picture))

    def settle(self) -> None:
        """As the heartbeat does it: it looks once, and on while there is a reason."""
        self.look()
        for _ in range(10_000):
            if not self.hearing.behind:
                return
            self.look()
        pytest.fail("it looks for ever")

    def _tell(self, heard: Any) -> None:
        self.told += heard.texts
        if heard.missed:
            self.told.append(MISSED)


def begun(sequence: int = 0) -> Listening:
    listening = Listening(History(sequence))
    listening.look()
    return listening


def changes(first: int, last: int) -> list[str]:
    return [f"c{number}" for number in range(first, last + 1)]


def test_messages_in_order_are_told_as_they_come_without_looking() -> None:
    listening = begun(7)
    listening.history.sequence = 9
    listening.hint(8)
    listening.hint(9)
    assert listening.told == ["c8", "c9"]
    assert not listening.hearing.behind


def test_nothing_is_told_of_what_was_before_the_first_look() -> None:
    listening = Listening(History(7))
    listening.hint(7)
    assert listening.hearing.behind
    listening.look()
    listening.hint(7)
    assert listening.told == []


def test_a_message_that_was_lost_is_read_from_the_log_and_those_after_it_wait() -> None:
    listening = begun()
    listening.history.sequence = 3
    listening.hint(1)
    listening.hint(3)
    assert listening.told == ["c1"]
    assert listening.hearing.behind
    listening.look()
    assert listening.told == ["c1", "c2", "c3"]
    assert (listening.hearing.gaps, listening.hearing.repaired, listening.hearing.behind) == (1, 2, False)


def test_a_message_that_came_before_is_no_reason_to_look() -> None:
    listening = begun()
    listening.history.sequence = 2
    for number in (1, 2, 1, 2):
        listening.hint(number)
    assert listening.told == ["c1", "c2"]
    assert not listening.hearing.behind


def test_messages_that_come_while_looking_are_not_told_again_and_are_not_lost() -> None:
    listening = begun()
    listening.history.sequence = 2
    asked = listening.hearing.ask()
    picture = listening.history.picture(asked)
    listening.history.sequence = 4
    for number in (1, 2, 4):
        listening.hint(number)
    listening.finish(picture)
    assert listening.told == ["c1", "c2"]
    listening.hint(3)
    assert listening.told == ["c1", "c2", "c3", "c4"]


def test_a_message_that_never_came_is_found_by_the_heartbeat() -> None:
    listening = begun()
    listening.history.sequence = 2
    listening.look()
    assert listening.told == ["c1", "c2"]


def test_more_than_one_look_reads_is_read_in_several() -> None:
    listening = begun()
    listening.history.sequence = 23
    listening.settle()
    assert listening.told == changes(1, 23)


def test_more_messages_ahead_of_their_turn_than_are_kept_are_read_from_the_log() -> None:
    listening = begun()
    listening.history.sequence = AHEAD_MOST + 50
    for number in range(2, AHEAD_MOST + 51):
        listening.hint(number)
    listening.settle()
    assert listening.told == changes(1, AHEAD_MOST + 50)


@pytest.mark.parametrize("trimmed_to", [2, 5, 100])
def test_a_log_that_does_not_go_back_far_enough_is_told_once(trimmed_to: int) -> None:
    listening = begun()
    listening.history.sequence = 99
    listening.history.first = trimmed_to
    listening.settle()
    listening.settle()
    assert listening.told == [MISSED]
    listening.history.sequence = 100
    listening.hint(100)
    assert listening.told == [MISSED, "c100"]


def test_a_log_that_goes_back_just_far_enough_is_enough() -> None:
    listening = begun(4)
    listening.history.sequence = 6
    listening.history.first = 5
    listening.settle()
    assert listening.told == ["c5", "c6"]


def _other_epoch(history: History) -> None:
    history.epoch = "other"


def _other_server(history: History) -> None:
    history.server = "promoted"


def _went_back(history: History) -> None:
    history.sequence = 2


def _lost_its_log(history: History) -> None:
    history.sequence, history.first = 12, 13


@pytest.mark.parametrize("happened", [_other_epoch, _other_server, _went_back, _lost_its_log])
def test_another_past_is_told_once_and_listening_goes_on_from_where_it_is(happened: Callable[[History], None]) -> None:
    listening = begun(10)
    happened(listening.history)
    listening.settle()
    listening.settle()
    assert listening.told == [MISSED]
    number = listening.history.sequence = listening.history.sequence + 1
    listening.hint(number)
    assert listening.told == [MISSED, f"c{number}"]


def test_messages_of_another_past_are_not_told_in_the_new_one() -> None:
    listening = begun(10)
    listening.hint(13)
    listening.history.epoch, listening.history.sequence = "other", 11
    listening.look()
    listening.hint(12)
    assert listening.told == [MISSED, "c12"]


def test_a_log_that_tells_the_last_change_otherwise_has_another_past() -> None:
    """A replica that was promoted may count on from fewer changes, and nothing else may show it."""
    listening = begun()
    listening.history.sequence = 2
    listening.hint(1)
    listening.hint(2)
    listening.hearing.ask()
    listening.finish(Picture(epoch="e", server="m", sequence=3, log=((2, "another c2"), (3, "c3"))))
    assert listening.told == ["c1", "c2", MISSED]


def test_if_the_first_look_was_in_vain_nobody_knows_what_was_missed_until_one_succeeds() -> None:
    listening = Listening(History(3))
    listening.hearing.ask()  # and no answer
    listening.look()
    assert listening.told == [MISSED]


def test_a_look_in_vain_later_on_is_no_harm() -> None:
    listening = begun(3)
    listening.hearing.ask()
    listening.history.sequence = 4
    listening.look()
    assert listening.told == ["c4"]


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 12)),
        st.tuples(st.sampled_from(["deliver", "duplicate", "drop"]), st.integers(0, 40)),
        st.tuples(st.sampled_from(["ask", "see", "answer", "vain"]), st.just(0)),
        st.tuples(st.just("trim"), st.integers(0, 12)),
    ),
    max_size=80,
)


class Play:
    """Messages go lost, twice or in any order; looks are asked, seen and answered at any time between."""

    def __init__(self, *, trimming: bool) -> None:
        self.listening = begun(3)
        self._trimming = trimming
        self._under_way: list[int] = []
        self._asked: int | None = None
        self._seen: Picture | None = None

    def write(self, number: int) -> None:
        history = self.listening.history
        self._under_way += range(history.sequence + 1, history.sequence + number + 1)
        history.sequence += number

    def deliver(self, number: int) -> None:
        self.duplicate(number)
        self.drop(number)

    def duplicate(self, number: int) -> None:
        if self._under_way:
            self.listening.hint(self._under_way[number % len(self._under_way)])

    def drop(self, number: int) -> None:
        if self._under_way:
            del self._under_way[number % len(self._under_way)]

    def ask(self, _: int) -> None:
        if self._asked is None:
            self._asked = self.listening.hearing.ask()

    def see(self, _: int) -> None:
        if self._asked is not None and self._seen is None:
            self._seen = self.listening.history.picture(self._asked)

    def answer(self, _: int) -> None:
        if self._seen is not None:
            self.listening.finish(self._seen)
        self.vain(_)

    def vain(self, _: int) -> None:
        if self._seen is not None:
            self._asked = self._seen = None

    def trim(self, number: int) -> None:
        history = self.listening.history
        if self._trimming:
            history.first = max(history.first, history.sequence + 1 - number)


def _played(steps: Sequence[tuple[str, int]], *, trimming: bool) -> Listening:
    play = Play(trimming=trimming)
    for step, number in steps:
        getattr(play, step)(number)
    play.listening.settle()
    return play.listening


@given(_STEPS)
def test_whatever_happens_to_messages_every_change_is_told_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    listening = _played(steps, trimming=False)
    assert listening.told == changes(4, listening.history.sequence)


@given(_STEPS)
def test_a_log_that_forgets_leaves_no_gap_that_is_not_told(steps: list[tuple[str, int]]) -> None:
    listening = _played(steps, trimming=True)
    last, newest = 3, 3
    for told in [*listening.told, f"c{listening.history.sequence + 1}"]:
        number = -1 if told == MISSED else int(told[1:])
        assert number == -1 or (number > newest and last in {-1, number - 1})
        last, newest = number, max(newest, number)


_TEXT = st.text(max_size=20)
_CHANGES = st.one_of(
    st.builds(SessionMoved, session_id=_TEXT, version=st.integers(1, 2**53)),
    st.builds(ResultsOutdated, tags=st.none() | st.lists(_TEXT, max_size=3).map(tuple), pattern=st.none() | _TEXT),
    st.builds(ResourceMoved, uri=_TEXT),
)


@given(_CHANGES, st.integers(1, 2**53))
def test_a_change_is_read_as_it_was_told(change: Change, number: int) -> None:
    text = text_of("origin", change)
    assert text is not None
    assert change_of(text) == ("origin", change)
    assert numbered(f"{number} {text}".encode("utf-8", "surrogatepass")) in {(number, text), None}


def test_the_texts_are_what_the_scripts_and_other_releases_expect() -> None:
    assert session_text("o", "s", 3) == '["o","s","s",3]'
    assert text_of("o", ResultsOutdated(tags=("a", "b"))) == '["o","r",["a","b"],null]'
    assert text_of("o", ResultsOutdated(pattern="é*")) == '["o","r",null,"é*"]'
    assert text_of("o", ResourceMoved(uri="u")) == '["o","u","u"]'
    assert text_of("o", Missed()) is None


@pytest.mark.parametrize("text", ["", "7", "{}", '["o","s",1,2]', '["o","s","s"]', '["o","r",[1],null]', '["o","new"]'])
def test_what_a_later_release_may_tell_is_no_change_here(text: str) -> None:
    assert change_of(text) is None


@pytest.mark.parametrize("message", [b"", b"x", b"-1 x", b"1.5 x", b"1 \xff"])
def test_what_others_say_on_the_channel_is_nothing(message: bytes) -> None:
    assert numbered(message) is None


def _all_sent(outbox: Outbox) -> list[tuple[int, str]]:
    sent: list[tuple[int, str]] = []
    while texts := outbox.sending():
        assert outbox.sending() == texts
        sent += texts
        outbox.sent()
    return sent


def test_what_waits_is_sent_in_order_with_growing_tickets() -> None:
    outbox = Outbox(everything="all")
    for number in range(200):
        outbox.add(str(number))
    assert len(outbox) == 200
    sent = _all_sent(outbox)
    assert [text for _, text in sent] == [str(number) for number in range(200)]
    assert [ticket for ticket, _ in sent] == sorted({ticket for ticket, _ in sent})
    assert len(outbox) == 0


def test_what_waits_twice_is_sent_once_but_what_is_on_its_way_is_sent_again() -> None:
    outbox = Outbox(everything="all")
    for text in ("a", "b", "a"):
        outbox.add(text)
    assert [text for _, text in outbox.sending()] == ["b", "a"]
    outbox.add("a")
    assert [text for _, text in _all_sent(outbox)] == ["b", "a", "a"]


@given(st.lists(st.integers(0, 30) | st.none(), max_size=100))
def test_too_much_to_wait_keeps_the_newest_and_one_that_stands_for_the_rest(added: list[int | None]) -> None:
    outbox = Outbox(everything="all", most=6)
    for number in added:
        outbox.add("all" if number is None else str(number))
        assert len(outbox) <= 6
    wanted = ["all" if number is None else str(number) for number in added]
    sent = _all_sent(outbox)
    assert [ticket for ticket, _ in sent] == sorted({ticket for ticket, _ in sent})
    texts = [text for _, text in sent]
    assert texts[-1:] == wanted[-1:] or texts == ["all"]
    assert set(wanted) <= set(texts) or (outbox.given_up and "all" in texts)


class ScriptedWire:
    """A `Wire` whose answers a test gives: each look and each message waits until it is told what comes of it."""

    def __init__(self) -> None:
        self.looks: asyncio.Queue[tuple[Part, asyncio.Future[Any]]] = asyncio.Queue()
        self.told: asyncio.Queue[tuple[list[Part], asyncio.Future[Any]]] = asyncio.Queue()
        self.channels: asyncio.Queue[asyncio.Queue[bytes | Exception]] = asyncio.Queue()
        self.up = True
        self._watchers: list[Callable[[bool, str], None]] = []

    async def call(self, *parts: Part, key: str) -> Any:
        raise NotImplementedError(parts, key)

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Part], *, again: bool) -> Any:
        assert again
        assert len({key.partition("}")[0] for key in keys}) == 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if script.name == "look":
            self.looks.put_nowait((arguments[1], answer))
        else:
            self.told.put_nowait((list(arguments[2:]), answer))
        return await answer

    async def messages(self, channel: str) -> AsyncGenerator[bytes]:
        assert channel == Keys().channel
        said: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.channels.put_nowait(said)
        yield b""
        while True:
            message = await said.get()
            if isinstance(message, Exception):
                raise message
            yield message

    def watch(self, told: Callable[[bool, str], None]) -> None:
        self._watchers.append(told)

    def back(self) -> None:
        for watcher in self._watchers:
            watcher(True, "")  # noqa: FBT003 - the wire's signature

    async def aclose(self) -> None:
        pass


def _answer(sequence: int, *texts: tuple[int, str], epoch: str = "e") -> list[Any]:
    log = [[f"{number}-0".encode(), [b"c", text.encode()]] for number, text in texts]
    return [epoch.encode(), b"m r", sequence, log, 1_000]


def _uri(number: int) -> ResourceMoved:
    return ResourceMoved(uri=f"u{number}")


def _text(number: int, origin: str = "other") -> str:
    return f'["{origin}","u","u{number}"]'


@pytest.fixture
async def wire() -> ScriptedWire:
    return ScriptedWire()


@pytest.fixture
async def redis(wire: ScriptedWire, clock: ManualClock) -> AsyncGenerator[RedisChanges]:
    """With a heartbeat that never comes and no waiting before attempts."""
    changes = RedisChanges(wire, keys=Keys(), origin="me", clock=clock, every_s=1e6, random=lambda: 0.0)
    yield changes
    await changes.aclose()


async def _next(queue: "asyncio.Queue[Any]") -> Any:
    with anyio.fail_after(WITHIN_S):
        return await queue.get()


async def _channel(wire: ScriptedWire, *looks: list[Any]) -> "asyncio.Queue[bytes | Exception]":
    """The channel, once it is heard and those looks were answered."""
    channel = await _next(wire.channels)
    for answer in looks:
        _, look = await _next(wire.looks)
        look.set_result(answer)
    return channel


@pytest.mark.anyio
async def test_it_looks_at_once_and_again_when_the_channel_is_heard_but_never_twice_at_a_time(
    redis: RedisChanges, wire: ScriptedWire, clock: ManualClock
) -> None:
    ear = Ear(redis)
    channel = await _next(wire.channels)
    after, look = await _next(wire.looks)
    assert after == ""
    channel.put_nowait(b"5 " + _text(5).encode())
    assert redis.statistics().silent_s is None
    look.set_result(_answer(3))
    after, look = await _next(wire.looks)
    assert (after, wire.looks.empty()) == (3, True)
    look.set_result(_answer(5, (4, _text(4)), (5, _text(5))))
    await ear.until_many(2)
    assert ear.heard == [_uri(4), _uri(5)]
    clock.advance(2)
    assert redis.statistics().silent_s == 2


@pytest.mark.anyio
async def test_own_changes_come_back_from_the_log_and_are_not_told_again(
    redis: RedisChanges, wire: ScriptedWire
) -> None:
    ear = Ear(redis)
    channel = await _channel(wire, _answer(0))
    redis.publish(_uri(1))
    parts, told = await _next(wire.told)
    assert parts == [1, _text(1, "me")]
    told.set_result(1)
    for number, origin in ((1, "me"), (2, "other"), (3, "me")):
        channel.put_nowait(f"{number} {_text(number, origin)}".encode())
    channel.put_nowait(f"4 {_text(4)}".encode())
    await ear.until(_uri(4))
    assert ear.heard == [_uri(1), _uri(2), _uri(4)]


@pytest.mark.anyio
async def test_a_lost_channel_is_listened_to_again_and_what_was_said_meanwhile_is_read(
    redis: RedisChanges, wire: ScriptedWire
) -> None:
    ear = Ear(redis)
    channel = await _channel(wire, _answer(0))
    channel.put_nowait(Away("cut", sent=False))
    await _channel(wire, _answer(1, (1, _text(1))))
    await ear.until(_uri(1))
    assert redis.statistics().reconnects == 1


@pytest.mark.anyio
async def test_while_redis_is_away_what_is_published_waits_and_is_sent_with_the_same_tickets(
    redis: RedisChanges, wire: ScriptedWire
) -> None:
    redis.publish(_uri(1))
    first, answer = await _next(wire.told)
    redis.publish(ResultsOutdated(tags=("t",)))
    assert redis.statistics().waiting == 2
    answer.set_exception(Away("no answer in time", sent=True))
    wire.back()
    again, answer = await _next(wire.told)
    assert again == first
    answer.set_result(1)
    more, answer = await _next(wire.told)
    assert more == [2, '["me","r",["t"],null]']
    answer.set_result(2)
    redis.publish(_uri(2))
    assert (await _next(wire.told))[0] == [3, _text(2, "me")]


@pytest.mark.anyio
async def test_away_from_the_beginning_is_told_when_it_is_over(redis: RedisChanges, wire: ScriptedWire) -> None:
    ear = Ear(redis)
    _, look = await _next(wire.looks)
    look.set_exception(Away("refused", sent=False))
    wire.back()
    _, look = await _next(wire.looks)
    look.set_result(_answer(7))
    await ear.until(Missed())
    assert ear.heard == [Missed()]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "fault", [Refused("NOPERM no permission to run the 'evalsha' command"), ZeroDivisionError()], ids=["refused", "bug"]
)
async def test_a_refusal_or_a_defect_is_logged_and_tried_again(
    redis: RedisChanges, wire: ScriptedWire, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear(redis)
    for _ in range(2):
        _, look = await _next(wire.looks)
        look.set_exception(fault)
        wire.back()
    await _channel(wire, _answer(1))
    await ear.until(Missed())
    assert caplog.text.count("NOPERM") == (1 if isinstance(fault, Refused) else 0)
    assert ("ZeroDivisionError" in caplog.text) is isinstance(fault, ZeroDivisionError)


@pytest.mark.anyio
async def test_a_full_look_is_followed_by_the_next_one_at_once(redis: RedisChanges, wire: ScriptedWire) -> None:
    ear = Ear(redis)
    most = LOOK_MOST + 3
    channel = await _channel(wire, _answer(0))
    channel.put_nowait(f"{most} {_text(most)}".encode())
    _, look = await _next(wire.looks)
    look.set_result(_answer(most, *((n, _text(n)) for n in range(1, LOOK_MOST + 1))))
    after, look = await _next(wire.looks)
    assert after == LOOK_MOST
    look.set_result(_answer(most, *((n, _text(n)) for n in range(LOOK_MOST, most + 1))))
    await ear.until_many(most)
    assert ear.heard == [_uri(n) for n in range(1, most + 1)]
