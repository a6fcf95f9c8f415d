"""Lua that appends: one script compares, checks quota and key, writes, moves lives, counts, sweeps and announces.

It checks everything by reading first and writes afterwards, so that whatever refuses it leaves nothing half done.
"""

from typing import Final

from state.redis.announcing import ANNOUNCE
from state.redis.lua_lives import LIVES
from state.redis.wire import Script

CHECKPOINTS: Final = 2
"""Kept of a session beside the one its compaction needs."""
SWEPT: Final = 8
"""Sessions ended and as many deleted with each new one, which is faster than they can come, and now and then."""

_ARGUMENTS: Final = """
local channel, told, id = ARGV[3], ARGV[4], ARGV[5]
local expected_version, expected_nonce, wanted_end = tonumber(ARGV[6]), ARGV[7], ARGV[8]
local kept, past_bytes, past_sessions = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[28])
local opener, has_key, key, forced = ARGV[14], ARGV[15] == '1', ARGV[16], ARGV[17] == '1'
local quota = {tonumber(ARGV[18]), tonumber(ARGV[19]), tonumber(ARGV[20])}
local version, nonce, link, new_bytes = tonumber(ARGV[21]), ARGV[22], ARGV[23], tonumber(ARGV[24])
local base_version, base_nonce, base = tonumber(ARGV[25]), ARGV[26], ARGV[27]
local FIRST = 29
local events_key = tag .. 'e:' .. id
"""

_CHECKS: Final = """
local s = found(id)

-- This very append was carried out before, and only its answer was lost.
local function mine()
  if s.version == version then return s.nonce == nonce end
  if s.version < version or s.compacted >= version then return false end
  local record = call('LINDEX', events_key, version - s.compacted - 1)
  return record and nonce_of(record) == nonce
end
if s and mine() then return done('mine') end

touch(s, ARGV[11], ARGV[12], ARGV[13])
local live = lives(s)
if (not s and vanished(id)) or (live and not whole(s)) then return {'lost', stamp} end
if live and (s.version ~= expected_version or s.nonce ~= expected_nonce) then
  return {'moved', stamp, s.version, s.nonce}
end
if not live and expected_version > 0 then return {'moved', stamp} end

local owner = live and s.owner or opener
local owned = tag .. 'o:' .. owner
local keys_key = tag .. 'k:' .. owner
local expires = stamp
if wanted_end ~= '' then expires = instant(wanted_end) elseif live then expires = s.expires end
local ending = tonumber(expires) <= now

local gone, is_gone = {}, {}
local function let_go(other)
  if other and not other.ended and not is_gone[other.id] then
    gone[#gone + 1] = other
    is_gone[other.id] = true
  end
end

local claims = not live and has_key
if claims then
  local earlier = call('HGET', keys_key, key)
  local other = earlier and earlier ~= id and found(earlier)
  if other and lives(other) then
    if not forced then return {'opened', stamp, earlier} end
    claims = false
  end
  if other and not lives(other) then let_go(other) end
end
if s and not live then let_go(s) end

local dropped, dropped_bytes, dropped_link = 0, 0, ''
if base_version then
  dropped = base_version - s.compacted
  local record = dropped > 0 and call('LINDEX', events_key, dropped - 1)
  if not record or nonce_of(record) ~= base_nonce then return {'unfit', stamp} end
  dropped_link = link_of(record)
  for from = 0, dropped - 1, 500 do
    for _, each in ipairs(call('LRANGE', events_key, from, math.min(from + 499, dropped - 1))) do
      dropped_bytes = dropped_bytes + content_bytes(each)
    end
  end
end

local events, bytes = #ARGV - FIRST + 1 - dropped, new_bytes - dropped_bytes
local holding = call('HMGET', tag .. 'q:' .. owner, 's', 'e', 'b')
if not holding[1] and call('ZCARD', owned) > 0 then return {'lost', stamp} end
if not ending and not forced and (events > 0 or bytes > 0) then
  local wanted = {tonumber(holding[1] or '0'), tonumber(holding[2] or '0'), tonumber(holding[3] or '0')}
  wanted[1] = wanted[1] + (live and 0 or 1)
  wanted[2] = wanted[2] + events
  wanted[3] = wanted[3] + bytes
  local function beyond() return wanted[1] > quota[1] or wanted[2] > quota[2] or wanted[3] > quota[3] end
  if beyond() then
    for _, each in ipairs(call('ZRANGE', owned, 0, -1)) do
      local end_at = each ~= id and call('ZSCORE', ENDS, each)
      if end_at and tonumber(end_at) <= now then let_go(found(each)) end
    end
    for _, other in ipairs(gone) do
      if other.owner == owner then
        wanted[1] = wanted[1] - 1
        wanted[2] = wanted[2] - other.version + other.compacted
        wanted[3] = wanted[3] - other.bytes
      end
    end
    if beyond() then return {'full', stamp, text(wanted[1]), text(wanted[2]), text(wanted[3])} end
  end
end
"""

_WRITES: Final = f"""
if live and ending then make_way() end
for _, other in ipairs(gone) do finish(other, other.expires, kept) end
if s and not live then
  erase(s)
  s = nil
end
local header = tag .. 'h:' .. id
if not s then
  s = {{id = id, owner = owner, key = claims and key, version = 0, compacted = 0, bytes = 0, accessed = stamp}}
  call('HSET', header, 'o', owner, 'c', 0)
  if claims then
    call('HSET', header, 'k', key)
    call('HSET', keys_key, key, id)
  end
  count(owner, 1, 0, 0)
end
if base_version then
  s.compacted = base_version
  call('LTRIM', events_key, dropped, -1)
  call('HSET', header, 'c', base_version, 'm', base_nonce, 'r', dropped_link)
  call('HSET', tag .. 'c:' .. id, base_version, base)
  trim_checkpoints(s, {CHECKPOINTS})
end
for from = FIRST, #ARGV, 1000 do
  call('RPUSH', events_key, unpack(ARGV, from, math.min(from + 999, #ARGV)))
end
count(owner, 0, events, bytes)
s.version, s.bytes, s.expires = version, s.bytes + bytes, expires
if tonumber(s.accessed) < now then s.accessed = stamp end
call('HSET', header, 'v', version, 'n', nonce, 'l', link, 'b', s.bytes, 'a', s.accessed, 'x', expires)
call('ZADD', ENDS, expires, id)
call('ZADD', owned, s.accessed, id)
if ending then finish(s, stamp, kept) else keep_until(id, tonumber(expires), kept) end
announce(KEYS[7], KEYS[8], KEYS[9], channel, told)
if not live or version % {SWEPT} == 0 then pcall(sweep, kept, {SWEPT}) end
if not live or ending then pcall(make_room, owner, past_bytes, past_sessions, {SWEPT}) end
return done()
"""

APPEND: Final = Script("append", LIVES + ANNOUNCE + _ARGUMENTS + _CHECKS + _WRITES)
"""Answers `ok` and the counts of all, and `mine` if it had been written before; `moved` and the head, if any; `opened`
and by which session; `full` and what the owner would hold; `unfit`: the checkpoint is not of this history; `lost`:
something is missing that should be there.
"""
