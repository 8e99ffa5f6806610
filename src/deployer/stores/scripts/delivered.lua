-- DELIVERED: what came of looking at a webhook, unless another master looks at it by now, or it has gone.
-- KEYS: webhooks that are due, webhook. ARGV: prefix|id, score of the lease, ms until the next look (empty: none), place in the events,
-- events told, events left out, failures in a row, since when (ms; empty: none), whether it is gone for good (1), delivery (JSON, or empty).
-- Answers 1, or 0 when it is not this master's.
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '') ~= tonumber(ARGV[2]) then
  return 0
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  return 0
end
redis.call('HSET', KEYS[2], 'cursor', ARGV[4], 'failures', ARGV[7])
if ARGV[8] == '' then
  redis.call('HDEL', KEYS[2], 'since')
else
  redis.call('HSET', KEYS[2], 'since', ARGV[8])
end
count(KEYS[2], 'delivered', tonumber(ARGV[5]))
count(KEYS[2], 'lost', tonumber(ARGV[6]))
if ARGV[10] ~= '' then
  sound(KEYS[2] .. ':deliveries', 'list')
  redis.call('LPUSH', KEYS[2] .. ':deliveries', ARGV[10])
  redis.call('LTRIM', KEYS[2] .. ':deliveries', 0, 19)
end
if ARGV[9] == '1' then
  redis.call('HSET', KEYS[2], 'gone', '1')
end
if ARGV[3] == '' or ARGV[9] == '1' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], int(now_ms() + tonumber(ARGV[3])), ARGV[1])
end
return 1
