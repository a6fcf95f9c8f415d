"""Touches that are not in the file yet: none is lost, none is written twice, whoever looks in between."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from hypothesis.stateful import invariant
from hypothesis.stateful import rule

from state.sqlite.overlay import Overlay
from state.sqlite.overlay import Touch

_IDS = st.sampled_from("abc")


class Touches(RuleBasedStateMachine):
    """Against a model: what was put last and is not settled."""

    def __init__(self) -> None:
        super().__init__()
        self.overlay = Overlay()
        self.model: dict[str, float] = {}
        self.on_their_way: list[tuple[str, Touch]] = []
        self.now = 0.0

    @rule(session=_IDS)
    def put(self, session: str) -> None:
        self.now += 1
        self.overlay.put(session, at=self.now, expires_at=self.now + 10)
        self.model[session] = self.now

    @rule()
    def take(self) -> None:
        self.on_their_way = self.overlay.unsettled()
        assert {each: touch.at for each, touch in self.on_their_way} == self.model

    @rule()
    def settle(self) -> None:
        for each, touch in self.on_their_way:
            touch.settled = True
            if self.model.get(each) == touch.at:
                del self.model[each]
        self.on_their_way = []

    @rule(session=_IDS)
    def settle_by_an_append(self, session: str) -> None:
        touch = self.overlay.of(session)
        if touch is not None:
            touch.settled = True
            self.model.pop(session, None)

    @invariant()
    def what_is_not_in_the_file_is_known(self) -> None:
        for session in "abc":
            touch = self.overlay.of(session)
            assert (None if touch is None else touch.at) == self.model.get(session)
            told = self.overlay.life(session, 0.5, 3.0)
            assert told == ((0.5, 3.0) if touch is None else (touch.at, touch.expires_at))


test_touches_are_neither_lost_nor_written_twice = Touches.TestCase
