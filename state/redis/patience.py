"""How long to wait before trying again: longer each time, out of step with others, and no longer than needed."""

import asyncio
from collections.abc import Callable
from typing import Final

_FIRST_S: Final = 0.05
_LONGEST_S: Final = 2.0


class Patience:
    """For one task. `random` gives numbers from 0 to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._next_s = _FIRST_S
        self._hurried = asyncio.Event()

    def won(self) -> None:
        """It worked: the next wait is short again."""
        self._next_s = _FIRST_S

    def hurry(self) -> None:
        """Whoever waits need not wait longer, and the next one not at all."""
        self._hurried.set()

    async def wait(self) -> None:
        wait_s = self._next_s * (0.5 + 0.5 * self._random())
        self._next_s = min(self._next_s * 2, _LONGEST_S)
        await rung(self._hurried, wait_s)


async def rung(bell: asyncio.Event, within_s: float) -> bool:
    """Whether the bell rang, before or within the time; it can be rung again afterwards."""
    try:
        async with asyncio.timeout(within_s):
            await bell.wait()
    except TimeoutError:
        return False
    bell.clear()
    return True
