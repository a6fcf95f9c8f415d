"""Lua that tries every command the journal writes with, on keys of its own, before the first write.

A script that is refused a command in its middle would leave half of what it wanted to write; so who lacks a permission
is told before anything is written.
"""

from typing import Final

from state.redis.wire import Script

TRIAL: Final = Script(
    "trial",
    """
local names = {ARGV[1] .. 'trial:1', ARGV[1] .. 'trial:2', ARGV[1] .. 'trial:3', ARGV[1] .. 'trial:4'}
local hash, list, sorted, log = unpack(names)
local channel = ARGV[3]
local tried = {
  {'DEL', log}, {'UNLINK', log}, {'TIME'}, {'HSET', hash, 'one', 1},
  {'HGET', hash, 'one'}, {'HMGET', hash, 'one'}, {'HKEYS', hash},
  {'HINCRBY', hash, 'one', 1}, {'HDEL', hash, 'one'}, {'RPUSH', list, 'one'}, {'LLEN', list}, {'LINDEX', list, 0},
  {'LRANGE', list, 0, 0}, {'PEXPIRE', list, 60000}, {'LTRIM', list, 1, -1}, {'ZADD', sorted, 1, 'one'},
  {'ZCARD', sorted}, {'ZSCORE', sorted, 'one'}, {'ZRANGE', sorted, 0, -1}, {'ZREVRANGE', sorted, 0, -1},
  {'ZRANGEBYSCORE', sorted, 0, 1}, {'ZREM', sorted, 'one'}, {'EXISTS', hash},
  {'XADD', log, 'MAXLEN', '~', 1, '*', 'c', ''}, {'PUBLISH', channel, ''}, {'DEL', log},
  {'INCR', log},
  {'UNLINK', hash, list, sorted, log},
}
for _, command in ipairs(tried) do
  local answer = redis.pcall(unpack(command))
  if type(answer) == 'table' and answer.err then
    for _, name in ipairs(names) do redis.pcall('DEL', name) end
    return redis.error_reply(answer.err)
  end
end
return {'ok', ''}
""",
)
