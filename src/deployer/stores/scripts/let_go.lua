-- LET_GO: a master has done with a schedule that it has taken; what still waits may be taken `wait` ms later.
-- KEYS: all with slots that wait. ARGV: <prefix>|<id>, its key, owner, wait. Answers 1 when it was the master's, else 0.
local key = ARGV[2]
if read(key, 'owner')[1] ~= ARGV[3] then
  return 0
end
redis.call('HDEL', key, 'owner')
sound(KEYS[1], 'zset')
if (counted('LLEN', key .. ':waiting') or 0) > 0 then
  redis.call('ZADD', KEYS[1], 'XX', int(now_ms() + tonumber(ARGV[4])), ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return 1
