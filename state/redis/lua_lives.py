"""Lua that every script of the journal begins with: time, a session's header, and how sessions end and are deleted.

Beside what `Keys.session` names there is, with the tag before it: `o:<owner>` live sessions by last access, `p:<owner>`
ended ones by their end, `q:<owner>` what they hold (`s` sessions, `e` events, `b` bytes, `p` bytes of ended ones), and
`k:<owner>` the sessions that idempotency keys opened. Only events and checkpoints have a life of their own in Redis, a
good while longer than they are kept: so the counts stay true, and what is big goes even if no instance ever comes back.
"""

from typing import Final

SLACK_S: Final = 3_600
"""How much longer than needed Redis keeps what is big, should nobody delete it."""
GRACE_S: Final = 60
"""How much longer than it can be looked at an ended session's header stays: a retry learns what became of it."""
PAST_OVERHEAD_BYTES: Final = 512
"""What an ended session takes besides its events, roughly."""

LIVES: Final = f"""
local call = redis.call
local tag, given = ARGV[1], ARGV[2]
local function text(value) return string.format('%.17g', value) end
local now = tonumber(given)
if not now then
  local time = call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end
local stamp = given ~= '' and given or text(now)
local PAST_OVERHEAD = {PAST_OVERHEAD_BYTES}
local ENDS, ENDED, HELD = tag .. 'ends', tag .. 'ended', tag .. 'held'

-- An instant as callers tell it: absolute when they tell the time as well, else from now.
local function instant(value)
  if given ~= '' then return value end
  return text(now + tonumber(value))
end

local function found(id)
  local h = call('HMGET', tag .. 'h:' .. id, 'o', 'k', 'v', 'n', 'l', 'c', 'm', 'r', 'b', 'a', 'x', 'z')
  if not h[3] then return nil end
  return {{id = id, owner = h[1], key = h[2], version = tonumber(h[3]), nonce = h[4], link = h[5],
    compacted = tonumber(h[6]), compacted_nonce = h[7] or '', compacted_link = h[8] or '', bytes = tonumber(h[9]),
    accessed = h[10], expires = h[11], ended = h[12]}}
end

-- The life that a touch brought which has not been written yet.
local function touch(s, since, at, expires)
  if not s or s.ended or since == '' then return false end
  if tonumber(s.expires) <= tonumber(instant(since)) or tonumber(instant(at)) < tonumber(s.accessed) then
    return false
  end
  s.accessed, s.expires = instant(at), instant(expires)
  return true
end

local function lives(s) return s and not s.ended and tonumber(s.expires) > now end

-- A live session whose header is gone, though nobody deleted it.
local function vanished(id) return tonumber(call('ZSCORE', ENDS, id) or '0') > now end

local function whole(s)
  if call('LLEN', tag .. 'e:' .. s.id) ~= s.version - s.compacted then return false end
  return s.ended or call('ZSCORE', ENDS, s.id)
end

local function nonce_of(record) return string.sub(record, 3, 2 + string.byte(record, 2)) end
local function link_of(record)
  local from = 3 + string.byte(record, 2) + 48
  return string.sub(record, from, from + 31)
end
local function content_bytes(record) return #record - 82 - string.byte(record, 2) end

local function keep_until(id, at, kept)
  local left = math.min(math.max(at - now, 0) + kept + {SLACK_S}, 315360000)
  local left_ms = string.format('%.0f', left * 1000)
  call('PEXPIRE', tag .. 'e:' .. id, left_ms)
  call('PEXPIRE', tag .. 'c:' .. id, left_ms)
end

local function count(owner, sessions, events, bytes)
  for _, key in ipairs({{tag .. 'q:' .. owner, HELD}}) do
    if sessions ~= 0 then call('HINCRBY', key, 's', sessions) end
    if events ~= 0 then call('HINCRBY', key, 'e', events) end
    if bytes ~= 0 then call('HINCRBY', key, 'b', bytes) end
  end
  if sessions < 0 and tonumber(call('HGET', HELD, 's')) <= 0 then call('DEL', HELD) end
end

local function finish(s, at, kept)
  s.ended = at
  call('HSET', tag .. 'h:' .. s.id, 'a', s.accessed, 'x', s.expires, 'z', at)
  call('ZREM', ENDS, s.id)
  call('ZREM', tag .. 'o:' .. s.owner, s.id)
  call('ZADD', ENDED, at, s.id)
  call('ZADD', tag .. 'p:' .. s.owner, at, s.id)
  count(s.owner, -1, s.compacted - s.version, -s.bytes)
  call('HINCRBY', tag .. 'q:' .. s.owner, 'p', s.bytes + PAST_OVERHEAD)
  if s.key and call('HGET', tag .. 'k:' .. s.owner, s.key) == s.id then call('HDEL', tag .. 'k:' .. s.owner, s.key) end
  if kept > 0 then
    keep_until(s.id, tonumber(at), kept)
  else
    call('UNLINK', tag .. 'e:' .. s.id, tag .. 'c:' .. s.id)
  end
end

local function erase(s)
  if not s.ended then finish(s, stamp, 0) end
  call('UNLINK', tag .. 'h:' .. s.id, tag .. 'e:' .. s.id, tag .. 'c:' .. s.id)
  call('ZREM', ENDED, s.id)
  call('ZREM', tag .. 'p:' .. s.owner, s.id)
  call('HINCRBY', tag .. 'q:' .. s.owner, 'p', -s.bytes - PAST_OVERHEAD)
  local left = call('HMGET', tag .. 'q:' .. s.owner, 's', 'p')
  if tonumber(left[1] or '0') <= 0 and tonumber(left[2] or '0') <= 0 then call('DEL', tag .. 'q:' .. s.owner) end
end

-- A full Redis refuses a script's first write, unless that takes away: what ends sessions is never refused.
local function make_way() call('DEL', tag .. 'way') end

-- Whether all the owner's live sessions are listed.
local function all_listed(owner)
  return tonumber(call('HGET', tag .. 'q:' .. owner, 's') or '0') == call('ZCARD', tag .. 'o:' .. owner)
end

-- After a write: what it was, and what all live sessions hold.
local function done(...)
  local held = call('HMGET', HELD, 's', 'e', 'b')
  return {{'ok', stamp, held[1] or '0', held[2] or '0', held[3] or '0', ...}}
end

local function sweep(kept, most)
  for _, id in ipairs(call('ZRANGEBYSCORE', ENDS, '-inf', stamp, 'LIMIT', 0, most)) do
    local s = found(id)
    if s and not s.ended then finish(s, s.expires, kept) else call('ZREM', ENDS, id) end
  end
  local until_then = text(now - math.max(kept, 0) - {GRACE_S})
  for _, id in ipairs(call('ZRANGEBYSCORE', ENDED, '-inf', until_then, 'LIMIT', 0, most)) do
    local s = found(id)
    if s then erase(s) else call('ZREM', ENDED, id) end
  end
end

-- Of the ended sessions of one owner, those that ended first give way to later ones.
local function make_room(owner, most_bytes, most_sessions, most)
  for _ = 1, most do
    local few = call('ZCARD', tag .. 'p:' .. owner) <= most_sessions
    if few and tonumber(call('HGET', tag .. 'q:' .. owner, 'p') or '0') <= most_bytes then return end
    local oldest = call('ZRANGE', tag .. 'p:' .. owner, 0, 0)[1]
    local s = oldest and found(oldest)
    if not s then return end
    erase(s)
  end
end

local function trim_checkpoints(s, kept)
  local key, newer = tag .. 'c:' .. s.id, {{}}
  for _, name in ipairs(call('HKEYS', key)) do
    local version = tonumber(name)
    if version < s.compacted then call('HDEL', key, name) end
    if version > s.compacted then newer[#newer + 1] = version end
  end
  table.sort(newer, function(one, other) return one > other end)
  for place = kept + 1, #newer do call('HDEL', key, newer[place]) end
end
"""
