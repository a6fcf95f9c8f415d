"""Lua of the lesser writes: lives that touches moved, checkpoints, and sessions that come from elsewhere or return."""

from typing import Final

from state.redis.announcing import ANNOUNCE
from state.redis.lua_lives import LIVES
from state.redis.lua_writing import CHECKPOINTS
from state.redis.wire import Script

TOUCH: Final = Script(
    "touch",
    LIVES
    + """
local kept = tonumber(ARGV[3])
for at = 4, #ARGV, 4 do
  local s = found(ARGV[at])
  if touch(s, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]) then
    call('HSET', tag .. 'h:' .. s.id, 'a', s.accessed, 'x', s.expires)
    call('ZADD', ENDS, s.expires, s.id)
    call('ZADD', tag .. 'o:' .. s.owner, s.accessed, s.id)
    keep_until(s.id, tonumber(s.expires), kept)
  end
end
return {'ok', stamp}
""",
)

KEEP: Final = Script(
    "keep",
    LIVES
    + f"""
local id, version, nonce, state, kept = ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6], tonumber(ARGV[7])
local s = found(id)
if not s or s.ended or version <= s.compacted or version > s.version then return {{'none', stamp}} end
local record = call('LINDEX', tag .. 'e:' .. id, version - s.compacted - 1)
if not record or nonce_of(record) ~= nonce then return {{'none', stamp}} end
call('HSET', tag .. 'c:' .. id, version, state)
trim_checkpoints(s, {CHECKPOINTS})
keep_until(id, tonumber(s.expires), kept)
return {{'ok', stamp}}
""",
)

ADOPT: Final = Script(
    "adopt",
    LIVES
    + ANNOUNCE
    + """
local id, owner, has_key, key = ARGV[5], ARGV[6], ARGV[7] == '1', ARGV[8]
local version, nonce, link, state = tonumber(ARGV[9]), ARGV[10], ARGV[11], ARGV[12]
local expires, kept, token = instant(ARGV[13]), tonumber(ARGV[14]), ARGV[15]
local header = tag .. 'h:' .. id
local s = found(id)
if not s and vanished(id) then return {'lost', stamp} end
if lives(s) then
  if call('HGET', header, 't') == token then return done() end -- by this very request, whose answer was lost
  return {'none', stamp}
end
local earlier = has_key and call('HGET', tag .. 'k:' .. owner, key)
local other = earlier and earlier ~= id and found(earlier)
if lives(other) then has_key = false end
local holding = call('HGET', tag .. 'q:' .. owner, 's')
if not holding and call('ZCARD', tag .. 'o:' .. owner) > 0 then return {'lost', stamp} end

if other and not other.ended and not lives(other) then finish(other, other.expires, kept) end
if s then erase(s) end
call('HSET', header, 'o', owner, 'v', version, 'n', nonce, 'l', link, 'c', version, 'm', nonce, 'r', link, 'b', 0,
  'a', stamp, 'x', expires, 't', token)
if has_key then
  call('HSET', header, 'k', key)
  call('HSET', tag .. 'k:' .. owner, key, id)
end
call('HSET', tag .. 'c:' .. id, version, state)
count(owner, 1, 0, 0)
call('ZADD', ENDS, expires, id)
call('ZADD', tag .. 'o:' .. owner, stamp, id)
keep_until(id, tonumber(expires), kept)
announce(KEYS[7], KEYS[8], KEYS[9], ARGV[3], ARGV[4])
return done()
""",
)

DISCARD: Final = Script(
    "discard",
    LIVES
    + ANNOUNCE
    + """
local s = found(ARGV[5])
if not s then
  if vanished(ARGV[5]) then return {'lost', stamp} end
  return done()
end
if s.version ~= tonumber(ARGV[6]) or s.nonce ~= ARGV[7] then return {'moved', stamp, s.version, s.nonce} end
make_way()
erase(s)
announce(KEYS[7], KEYS[8], KEYS[9], ARGV[3], ARGV[4])
return done()
""",
)

REVIVE: Final = Script(
    "revive",
    LIVES
    + ANNOUNCE
    + """
local id, expires, kept = ARGV[5], instant(ARGV[6]), tonumber(ARGV[7])
local header = tag .. 'h:' .. id
local s = found(id)
if not s then return {vanished(id) and 'lost' or 'none', stamp} end
if not lives(s) and tonumber(s.ended or s.expires) + kept <= now then return {'none', stamp} end
if call('LLEN', tag .. 'e:' .. id) ~= s.version - s.compacted then return {'none', stamp} end
local owned, keys_key = tag .. 'o:' .. s.owner, tag .. 'k:' .. s.owner
local earlier = s.key and call('HGET', keys_key, s.key)
local other = earlier and earlier ~= id and found(earlier)

call('HSET', header, 'a', stamp, 'x', expires)
if s.ended then
  call('HDEL', header, 'z')
  call('ZREM', ENDED, id)
  call('ZREM', tag .. 'p:' .. s.owner, id)
  call('HINCRBY', tag .. 'q:' .. s.owner, 'p', -s.bytes - PAST_OVERHEAD)
  count(s.owner, 1, s.version - s.compacted, s.bytes)
  if s.key and not lives(other) then call('HSET', keys_key, s.key, id) end
end
call('ZADD', ENDS, expires, id)
call('ZADD', owned, stamp, id)
keep_until(id, tonumber(expires), kept)
announce(KEYS[7], KEYS[8], KEYS[9], ARGV[3], string.sub(ARGV[4], 1, -3) .. string.format('%.0f', s.version) .. ']')
return done(s.version, s.nonce)
""",
)
