"""What instances declared outdated: told to Redis, and heard from it, in one order for all."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any
from typing import cast

from state.changes import ResultsOutdated
from state.outdated import EVERYTHING
from state.outdated import KEPT
from state.outdated import Entry
from state.outdated import Heard
from state.outdated import placed
from state.outdated import read
from state.outdated import written
from state.redis import results_scripts as scripts
from state.redis.keys import Keys
from state.redis.wire import Wire

_OWED_MOST = 200


class Declared:
    """For one event loop. Raises `Away`, `Refused`."""

    def __init__(self, wire: Wire, keys: Keys) -> None:
        self._wire = wire
        self._key = keys.result("outdated")
        self._heard = Heard()
        self._owed: list[ResultsOutdated] = []
        """Declared here, and not yet known to be in Redis."""
        self._paying = asyncio.Lock()

    @property
    def position(self) -> str:
        """Of the newest that was heard. Empty: nothing was heard yet."""
        return self._heard.position

    @property
    def number(self) -> int:
        return placed(self._heard.position)[0]

    def owe(self, change: ResultsOutdated) -> None:
        """To be told with the next `pay`. More than can be kept in mind is told as one: everything."""
        self._owed = [EVERYTHING] if len(self._owed) >= _OWED_MOST else [*self._owed, change]

    async def pay(self) -> None:
        """Return when all that was declared here is in Redis."""
        if not self._owed and not self._paying.locked():
            return
        async with self._paying:
            owed, self._owed = self._owed, []
            if not owed:
                return
            told = [f"{secrets.token_hex(8)} {written(change)}" for change in owed]
            try:
                await self._wire.run(scripts.OUTDATE, [self._key], (KEPT, secrets.token_hex(8), *told), again=True)
            except BaseException:
                self._owed = [*owed, *self._owed]
                raise

    async def hear(self) -> None:
        """Ask what was declared since last asked."""
        number, nonce = placed(self._heard.position)
        arguments = (KEPT, secrets.token_hex(8), number, nonce)
        whole, first, *texts = cast("list[Any]", await self._wire.run(scripts.NEWS, [self._key], arguments, again=True))
        entries = [_entry(int(first) + place, bytes(text)) for place, text in enumerate(texts)]
        self._heard.take(entries, whole=bool(whole))

    async def outdates(self, under: str, tags: Sequence[str]) -> bool:
        """Whether what was loaded under that position must not be served."""
        if placed(under)[0] > self.number:  # declared, loaded and stored while this one was asking
            await self.hear()
        return self._heard.outdates(under, tags)


def _entry(number: int, text: bytes) -> Entry:
    nonce, _, change = text.decode(errors="replace").partition(" ")
    return Entry(number=number, nonce=nonce, change=read(change))
