"""One look at the log of changes: the script, and reading its answer."""

import secrets
from typing import Any
from typing import Final

from state.redis.hearing import Picture
from state.redis.keys import Keys
from state.redis.wire import Script
from state.redis.wire import Wire

LOOK_MOST: Final = 500
"""Changes read at once: a few milliseconds for those who are told."""

_LOOK: Final = Script(
    "look",
    """
local time = redis.pcall('TIME')
local now = time.err and '' or time[1]
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  local wanted = ARGV[1] .. '@' .. now
  local made = redis.pcall('SET', KEYS[1], wanted, 'NX')
  epoch = (type(made) == 'table' and made.ok) and wanted or ''
end
local function told(section, pattern)
  local answer = redis.pcall('INFO', section)
  return type(answer) == 'string' and string.match(answer, pattern) or ''
end
local log = {}
if ARGV[2] ~= '' then
  log = redis.pcall('XRANGE', KEYS[3], ARGV[2] .. '-0', '+', 'COUNT', ARGV[3])
  if log.err then log = {} end
end
local server = told('server', 'run_id:(%x+)') .. ' ' .. told('replication', 'master_replid:(%x+)')
return {epoch, server, tonumber(redis.call('GET', KEYS[2])) or 0, log, tonumber(now) or 0}
""",
)
"""All of one instant. The epoch is made by the first who finds none; who may not ask INFO or TIME goes without."""


async def look(wire: Wire, keys: Keys, after: int | None) -> Picture:
    """Ask for the log from number `after` on (None: none of it). Raises `Away`, `Refused`."""
    names = (keys.epoch, keys.sequence, keys.log)
    wanted = ("" if after is None else after, LOOK_MOST)
    answer: list[Any] = await wire.run(_LOOK, names, (secrets.token_hex(8), *wanted), again=True)
    epoch, server, sequence, entries, now = answer
    begun = epoch.decode().partition("@")[2]
    return Picture(
        epoch=epoch.decode(),
        server=server.decode().strip(),
        sequence=sequence,
        log=tuple(_entry(*entry) for entry in entries),
        cut=len(entries) == LOOK_MOST,
        epoch_age_s=float(now - int(begun)) if begun.isdecimal() else float("inf"),
    )


def _entry(place: bytes, fields: list[bytes]) -> tuple[int, str]:
    return int(place.partition(b"-")[0]), fields[1].decode(errors="replace")
