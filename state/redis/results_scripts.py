"""What runs inside Redis for results: each script on one key, which may lie on any node.

A result is a hash: `v` the bytes, `at` when its load began (milliseconds of Redis's own clock), `by` the lease that
stored it; `l` the lease of whoever loads just now, `lu` until when, `lp` the number of the newest declaration that it
knew; `p` is there while nobody shall wait, because what is loaded is not for sharing.

What was declared outdated is one hash: `last` and, by number, a random nonce and the declaration.
"""

from typing import Final

from state.redis.wire import Script

FOUND: Final = 1
LEASED: Final = 2
WAIT: Final = 3
PRIVATE: Final = 4

LOOK: Final = Script(
    "results_look",
    """
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local key, lease, number, unwanted = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local lease_ms, fresh_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local h = redis.call('HMGET', key, 'v', 'at', 'by', 'l', 'lu', 'lp', 'p')
local now = now_ms()
local value, age = h[1], 0
if value and h[3] == unwanted then
  redis.call('HDEL', key, 'v', 'at', 'by')
  value = false
end
if value then
  age = math.max(0, now - tonumber(h[2]))
  if age < fresh_ms then return {1, value, age, h[3]} end
end
if h[7] then return {4} end
if h[4] and h[4] ~= lease and now < tonumber(h[5]) and tonumber(h[6]) >= number then
  if value then return {3, value, age, h[3]} end
  return {3}
end
redis.call('HSET', key, 'l', lease, 'lu', now + lease_ms, 'lp', number)
if not value then redis.call('PEXPIRE', key, lease_ms) end
return {2}
""",
)
"""`fresh_ms`: a value that is older is given only while somebody else loads a new one."""

KEEP: Final = Script(
    "results_keep",
    """
local key, lease = KEYS[1], ARGV[1]
if redis.call('HGET', key, 'by') == lease then return 1 end
if redis.call('HGET', key, 'l') ~= lease then return 0 end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('DEL', key)
redis.call('HSET', key, 'v', ARGV[2], 'at', now - tonumber(ARGV[3]), 'by', lease)
redis.call('PEXPIRE', key, ARGV[4])
return 1
""",
)

RENEW: Final = Script(
    "results_renew",
    """
if redis.call('HGET', KEYS[1], 'l') ~= ARGV[1] then return 0 end
local t = redis.call('TIME')
redis.call('HSET', KEYS[1], 'lu', t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[2]))
if redis.call('HEXISTS', KEYS[1], 'v') == 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
""",
)

RELEASE: Final = Script(
    "results_release",
    """
if redis.call('HGET', KEYS[1], 'l') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'l', 'lu', 'lp')
if tonumber(ARGV[2]) > 0 then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'p', '1')
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
""",
)
"""The second argument: for how many milliseconds nobody shall wait. 0: others may load it for sharing."""

OUTDATE: Final = Script(
    "results_outdate",
    """
local key, kept = KEYS[1], tonumber(ARGV[1])
if redis.call('HEXISTS', key, 'last') == 0 then redis.call('HSET', key, 'last', 0, '0', ARGV[2] .. ' ') end
for i = 3, #ARGV do
  local number = redis.call('HINCRBY', key, 'last', 1)
  redis.call('HSET', key, string.format('%d', number), ARGV[i])
  redis.call('HDEL', key, string.format('%d', number - kept - 1))
end
return redis.call('HGET', key, 'last')
""",
)

NEWS: Final = Script(
    "results_news",
    """
local key, kept, number, nonce = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[3]), ARGV[4]
local last = tonumber(redis.call('HGET', key, 'last') or '-1')
if last < 0 then
  redis.call('HSET', key, 'last', 0, '0', ARGV[2] .. ' ')
  last = 0
end
local first, whole = math.max(0, last - kept), 1
local known = number >= 0 and redis.call('HGET', key, string.format('%d', number))
if known and number <= last and string.sub(known, 1, #nonce + 1) == nonce .. ' ' then
  first, whole = number + 1, 0
end
local answer = {whole, first}
for each = first, last do
  answer[#answer + 1] = redis.call('HGET', key, string.format('%d', each)) or ''
end
return answer
""",
)
