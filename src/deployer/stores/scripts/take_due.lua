-- TAKE_DUE: one thing that is due, for one master for so long.
-- KEYS: things by when they are due. ARGV: lease ms. Answers {prefix|job, score of the lease}, or nothing.
sound(KEYS[1], 'zset')
local now = now_ms()
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(now), 'LIMIT', 0, 1)[1]
if not found then
  return false
end
local score = int(now + tonumber(ARGV[1]))
redis.call('ZADD', KEYS[1], score, found)
return { found, score }
