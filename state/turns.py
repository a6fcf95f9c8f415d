"""Writers of one session take turns; those who arrive while one is writing are served together, in one append.

Only writers of this process are meant: those of other processes are met by comparing heads.
"""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Generic
from typing import TypeVar

W = TypeVar("W")

Outcome = Any
"""What a wish came to, or the exception to raise for it."""


class Turns(Generic[W]):
    """`serve` carries out the wishes that came for one key, in order, and returns one outcome for each."""

    def __init__(self, serve: Callable[[str, Sequence[W]], Awaitable[Sequence[Outcome]]]) -> None:
        self._serve = serve
        self._waiting: dict[str, list[tuple[W, asyncio.Future[Outcome]]]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def take(self, key: str, wish: W) -> Outcome:
        """Wait for the turn and return the outcome, or raise it.

        A caller that is cancelled takes nobody with it; its own wish may still be carried out.
        """
        waiting = self._waiting.get(key)
        if waiting is not None:
            asked = asyncio.get_running_loop().create_future()
            waiting.append((wish, asked))
            return await asked
        self._waiting[key] = []
        try:
            (outcome,) = await self._serve(key, (wish,))
        finally:
            self._hand_over(key)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _hand_over(self, key: str) -> None:
        if not self._waiting[key]:
            del self._waiting[key]
            return
        task = asyncio.get_running_loop().create_task(self._serve_waiting(key))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _serve_waiting(self, key: str) -> None:
        try:
            while batch := [each for each in self._waiting[key] if not each[1].cancelled()]:
                self._waiting[key] = []
                await self._answer(key, batch)
        finally:  # also when the loop is stopping: nobody waits for a turn that never comes
            for _, asked in self._waiting.pop(key):
                asked.cancel()

    async def _answer(self, key: str, batch: Sequence[tuple[W, asyncio.Future[Outcome]]]) -> None:
        try:
            outcomes = await self._serve(key, [wish for wish, _ in batch])
        except asyncio.CancelledError:
            for _, asked in batch:
                asked.cancel()
            raise
        except Exception as fault:  # noqa: BLE001 - raised where it is waited for, as if each had asked alone
            _settle(batch, [fault] * len(batch))
        else:
            _settle(batch, outcomes)


def _settle(batch: Sequence[tuple[Any, asyncio.Future[Outcome]]], outcomes: Sequence[Outcome]) -> None:
    for (_, asked), outcome in zip(batch, outcomes, strict=True):
        if asked.done():
            continue
        if isinstance(outcome, BaseException):
            asked.set_exception(outcome)
        else:
            asked.set_result(outcome)
