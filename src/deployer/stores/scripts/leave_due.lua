-- LEAVE_DUE: a master has looked at what was due. What became due again meanwhile stays due.
-- KEYS: things by when they are due. ARGV: prefix|job, score of the lease, ms until the next look, or nothing: it has no more to be looked for.
sound(KEYS[1], 'zset')
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '') ~= tonumber(ARGV[2]) then
  return 0
end
if ARGV[3] == '' then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('ZADD', KEYS[1], int(now_ms() + tonumber(ARGV[3])), ARGV[1])
return 1
