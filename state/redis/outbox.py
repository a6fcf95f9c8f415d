"""What others have yet to be told: bounded, the newest kept, each sent once however often it is tried."""

import secrets
from collections.abc import Sequence
from typing import Final

from state.redis.announcing import ANNOUNCE
from state.redis.keys import Keys
from state.redis.wire import Part
from state.redis.wire import Script
from state.redis.wire import Wire

WAITING_MOST: Final = 1_000
_SENT_MOST: Final = 64
_REMEMBERED_MS: Final = 3_600_000
"""A repeated call comes within seconds."""

_TELL: Final = Script(
    "tell",
    ANNOUNCE
    + """
local told = tonumber(redis.call('GET', KEYS[4])) or 0
for place = 3, #ARGV, 2 do
  local ticket = tonumber(ARGV[place])
  if ticket > told then
    announce(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[place + 1])
    told = ticket
  end
end
redis.call('SET', KEYS[4], string.format('%.0f', told), 'PX', ARGV[2])
return told
""",
)


class Outbox:
    """Texts with tickets that only grow. `everything`: the text that stands for all that had to be given up."""

    def __init__(self, *, everything: str, most: int = WAITING_MOST) -> None:
        self.id = secrets.token_hex(8)
        self._everything = everything
        self._most = most
        self._ticket = 0
        self._waiting: dict[str, int] = {}
        self._sending: tuple[tuple[int, str], ...] = ()
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sending)

    def add(self, text: str) -> None:
        """Keep a text until it is sent; one that waits already is sent once, in its new place."""
        self._waiting.pop(text, None)
        self._ticket += 1
        self._waiting[text] = self._ticket
        if len(self._waiting) > self._most:
            self._give_up()

    def sending(self) -> Sequence[tuple[int, str]]:
        """The next texts with their tickets; the same ones again until they were `sent`."""
        if not self._sending:
            texts = tuple(self._waiting)[:_SENT_MOST]
            self._sending = tuple((self._waiting.pop(text), text) for text in texts)
        return self._sending

    def sent(self) -> None:
        self._sending = ()

    def _give_up(self) -> None:
        """All that waits but its newest half; what stands for it has the oldest ticket, so that tickets still grow."""
        waiting = list(self._waiting.items())
        kept = dict(waiting[len(waiting) // 2 :])
        kept.pop(self._everything, None)
        self.given_up += len(waiting) - len(kept)
        self._waiting = {self._everything: waiting[0][1], **kept}


async def tell(wire: Wire, keys: Keys, outbox: str, texts: Sequence[tuple[int, str]]) -> None:
    """Number, log and call out texts that were not told before. Raises `Away`, `Refused`; may be called again then.

    `outbox`: the random id of the one that the tickets are of.
    """
    names = (keys.sequence, keys.log, keys.epoch, keys.told(outbox))
    tickets: list[Part] = [part for ticket_and_text in texts for part in ticket_and_text]
    await wire.run(_TELL, names, (keys.channel, _REMEMBERED_MS, *tickets), again=True)
