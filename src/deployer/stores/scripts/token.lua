-- TOKEN: keep a token; one for a user only while the user is there.
-- KEYS: token, index of its kind, user (for a token of a user). ARGV: id, created ms, expires ms or '', most tokens,
-- then fields and values. Answers OK, NO_USER or FULL.
if KEYS[3] and redis.call('EXISTS', KEYS[3]) == 0 then
  return 'NO_USER'
end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then
  return 'FULL'
end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
if ARGV[3] ~= '' then
  redis.call('PEXPIREAT', KEYS[1], ARGV[3])
end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return 'OK'
