"""How a change is told to all instances: the text it travels as, and the Lua that numbers it, logs it and calls it out.

A message on the channel is `<sequence> <text>`; the log has the same text under the id `<sequence>-0`. The text is
JSON: `["<origin>", kind, ...]`, with the random id of the instance it comes from and
`"s", session_id, version` - events were written to a session (sent by the script that wrote them),
`"r", tags | null, pattern | null` - results are outdated, or `"u", uri` - a resource has changed.
"""

import json
from collections.abc import Sequence
from typing import Any
from typing import Final

from state.changes import Change
from state.changes import Missed
from state.changes import ResourceMoved
from state.changes import ResultsOutdated
from state.changes import SessionMoved

LOG_LENGTH: Final = 10_000
"""The newest about so many changes can be repaired from the log; Redis trims whole nodes of it, so a few more stay."""

ANNOUNCE: Final = f"""
local function announce(sequence, log, epoch, channel, text)
  local number = redis.pcall('INCR', sequence)
  if type(number) ~= 'number' then
    local spoilt = string.find(number.err, 'WRONGTYPE') or string.find(number.err, 'integer')
    if spoilt then redis.call('DEL', sequence, log, epoch) end
    number = redis.call('INCR', sequence)
  end
  local id = string.format('%.0f', number)
  local logged = redis.pcall('XADD', log, 'MAXLEN', '~', '{LOG_LENGTH}', id .. '-0', 'c', text)
  if type(logged) == 'table' and logged.err then
    redis.call('DEL', log, epoch)
    redis.pcall('XADD', log, id .. '-0', 'c', text)
  end
  redis.pcall('PUBLISH', channel, id .. ' ' .. text)
  return number
end
"""
"""Source of a Lua function for other scripts; after their own writes, and with `Keys.sequence`, `.log`, `.epoch`.

It fails only where Redis takes no writes at all, which it tells the first write of a script, or not of this user. A log
that does not take the number has another past than the sequence: both it and the epoch are deleted, which
tells everyone to look again at all they keep.
"""


def session_text(origin: str, session_id: str, version: int) -> str:
    """What the script that appends announces."""
    return _json([origin, "s", session_id, version])


def text_of(origin: str, change: Change) -> str | None:
    """The change as it travels. None: it is nobody else's business."""
    match change:
        case SessionMoved():
            return session_text(origin, change.session_id, change.version)
        case ResultsOutdated():
            return _json([origin, "r", None if change.tags is None else list(change.tags), change.pattern])
        case ResourceMoved():
            return _json([origin, "u", change.uri])
        case Missed():
            return None


def change_of(text: str) -> tuple[str, Change] | None:
    """The origin of a text, and the change. None: a later release tells something that this one does not know."""
    try:
        told = json.loads(text)
    except ValueError:
        return None
    match told:
        case [str(origin), "s", str(session_id), int(version)]:
            return origin, SessionMoved(session_id=session_id, version=version)
        case [str(origin), "r", tags, None | str() as pattern] if tags is None or _texts(tags):
            return origin, ResultsOutdated(tags=None if tags is None else tuple(tags), pattern=pattern)
        case [str(origin), "u", str(uri)]:
            return origin, ResourceMoved(uri=uri)
        case _:
            return None


def numbered(message: bytes) -> tuple[int, str] | None:
    """The sequence number and the text of a message on the channel. None: it is not one of ours."""
    number, _, text = message.partition(b" ")
    if not number.isdigit():
        return None
    try:
        return int(number), text.decode()
    except UnicodeDecodeError:
        return None


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)  # pyright: ignore[reportUnknownVariableType]


def _json(parts: Sequence[Any]) -> str:
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
