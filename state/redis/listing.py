"""Which sessions an owner has, live and ended: what Redis says, with the touches that it does not know of yet."""

from collections.abc import Mapping

from state.journal import Mark
from state.redis import lua_lists
from state.redis.answers import Answer
from state.redis.answers import mark_of
from state.redis.behind import Ask
from state.redis.shared_time import SharedTime
from state.redis.touches import Touches

Life = tuple[float, float]
"""Last access and end."""


class Listing:
    """`kept_s`: how long ended sessions can be looked at."""

    def __init__(self, ask: Ask, touches: Touches, time: SharedTime, *, kept_s: float) -> None:
        self._ask = ask
        self._touches = touches
        self._time = time
        self._kept_s = kept_s

    async def sessions(self, owner: str) -> tuple[str, ...]:
        """Live ones, newest access first."""
        lives, _ = await self._lives(owner, and_ended=False)
        now = self._time.clock()
        live = [(accessed_at, each) for each, (accessed_at, end) in lives.items() if end > now]
        live.sort(key=lambda pair: pair[0], reverse=True)
        return tuple(each for _, each in live)

    async def past(self, owner: str) -> tuple[str, ...]:
        """Ended ones, the last to end first."""
        lives, ended = await self._lives(owner, and_ended=True)
        now = self._time.clock()
        ended |= {each: end for each, (_, end) in lives.items() if end <= now}
        kept = [(end, each) for each, end in ended.items() if end + self._kept_s > now]
        kept.sort(key=lambda pair: pair[0], reverse=True)
        return tuple(each for _, each in kept)

    async def marks(self, owner: str) -> Mapping[str, Mark]:
        """Where each stands."""
        answer = await self._ask(lua_lists.MARKS, (owner,))
        now = self._time.clock()
        found: dict[str, Mark] = {}
        for each in answer.rest[0]:
            mark = mark_of(each, answer, self._time, self._life(each[0], each[4], each[5], answer), now)
            if mark.ended_at is None or mark.ended_at + self._kept_s > now:
                found[each[0].decode()] = mark
        return found

    async def held(self) -> tuple[str, ...]:
        """All of all owners."""
        answer = await self._ask(lua_lists.ALL, (repr(self._kept_s),))
        return tuple(each.decode() for some in answer.rest for each in some)

    async def _lives(self, owner: str, *, and_ended: bool) -> tuple[dict[str, Life], dict[str, float]]:
        """The lives of sessions that nobody has ended yet, and the ends of those that somebody has."""
        answer = await self._ask(lua_lists.OWNED, (owner, int(and_ended)))
        listed, ended = answer.rest
        lives = {
            each.decode(): self._life(each, accessed, expires, answer)
            for each, accessed, expires in zip(listed[::3], listed[1::3], listed[2::3], strict=True)
        }
        return lives, {
            each.decode(): self._heard(end, answer) for each, end in zip(ended[::2], ended[1::2], strict=True)
        }

    def _life(self, session_id: bytes, accessed: bytes, expires: bytes, answer: Answer) -> Life:
        return self._touches.life(session_id.decode(), self._heard(accessed, answer), self._heard(expires, answer))

    def _heard(self, at: bytes, answer: Answer) -> float:
        return self._time.heard(at, answer.stamp, answer.asked_at)
