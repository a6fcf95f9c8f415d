"""Lua that looks: at one session and its events, at its checkpoints, and at the sessions of an owner."""

from typing import Final

from state.redis.lua_lives import LIVES
from state.redis.wire import Script

READ: Final = Script(
    "read",
    LIVES
    + """
local id, after, past, kept = ARGV[3], tonumber(ARGV[4]), ARGV[8] == '1', tonumber(ARGV[9])
local s = found(id)
if not s then return {vanished(id) and 'lost' or 'none', stamp} end
touch(s, ARGV[5], ARGV[6], ARGV[7])
if past == not not lives(s) then return {'none', stamp} end
if past and tonumber(s.ended or s.expires) + kept <= now then return {'none', stamp} end
if not whole(s) then return {'lost', stamp} end
local from, records = math.max(after, s.compacted), {}
if from < s.version then
  -- With the one before, whose nonce and link are asked for as well; and about so much that it arrives in time.
  local first = from - s.version - (from > s.compacted and 1 or 0)
  local fit = math.floor(tonumber(ARGV[10]) / (s.bytes / (s.version - s.compacted) + 100))
  local last = math.min(first + math.max(fit, 1), -1)
  records = call('LRANGE', tag .. 'e:' .. id, first, last)
end
return {'ok', stamp, s.version, s.nonce, s.link, s.compacted, s.compacted_nonce, s.compacted_link, s.bytes, s.accessed,
  s.expires, records}
""",
)
"""Answers `none`, `lost`, or `ok`, the header and records: the first is the one asked after, if that is kept.

When they are many, these are only the first of them.
"""

CHECKPOINT: Final = Script(
    "checkpoint",
    LIVES
    + """
local id, most = ARGV[3], tonumber(ARGV[4])
local s = found(id)
if not s then return {vanished(id) and 'lost' or 'none', stamp} end
touch(s, ARGV[5], ARGV[6], ARGV[7])
if not lives(s) then return {'none', stamp} end
local best, has_base = -1, s.compacted == 0
for _, name in ipairs(call('HKEYS', tag .. 'c:' .. id)) do
  local version = tonumber(name)
  if version == s.compacted then has_base = true end
  if version > best and version <= most then best = version end
end
if not has_base then return {'lost', stamp} end
if best < 0 then return {'none', stamp} end
return {'ok', stamp, best, call('HGET', tag .. 'c:' .. id, best)}
""",
)

OWNED: Final = Script(
    "owned",
    LIVES
    + """
local listed = {}
if not all_listed(ARGV[3]) then return {'lost', stamp} end
local some = call('EXISTS', ENDS) == 1
local owned = call('ZREVRANGE', tag .. 'o:' .. ARGV[3], 0, -1, 'WITHSCORES')
for place = 1, #owned, 2 do
  local id = owned[place]
  local end_at = call('ZSCORE', ENDS, id)
  if end_at then
    for _, each in ipairs({id, owned[place + 1], end_at}) do listed[#listed + 1] = each end
  elseif not some or call('EXISTS', tag .. 'h:' .. id) == 1 then
    return {'lost', stamp}
  end
end
local ended = {}
if ARGV[4] == '1' then ended = call('ZREVRANGE', tag .. 'p:' .. ARGV[3], 0, -1, 'WITHSCORES') end
return {'ok', stamp, listed, ended}
""",
)
"""Answers id, last access and end of life of each session that has not been ended; id and end of those that have."""

MARKS: Final = Script(
    "marks",
    LIVES
    + """
local marks = {}
if not all_listed(ARGV[3]) then return {'lost', stamp} end
for _, list in ipairs({'o:', 'p:'}) do
  for _, id in ipairs(call('ZRANGE', tag .. list .. ARGV[3], 0, -1)) do
    local s = found(id)
    if s then
      marks[#marks + 1] = {id, s.version, s.nonce, s.bytes, s.accessed, s.expires, s.ended or ''}
    elseif vanished(id) then
      return {'lost', stamp}
    end
  end
end
return {'ok', stamp, marks}
""",
)

ALL: Final = Script(
    "all",
    LIVES
    + """
local since = text(now - tonumber(ARGV[3]))
return {'ok', stamp, call('ZRANGE', ENDS, 0, -1), call('ZRANGEBYSCORE', ENDED, '(' .. since, '+inf')}
""",
)
