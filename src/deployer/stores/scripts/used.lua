-- USED: note when a token was used last; one that is gone is not made again.
-- KEYS: token. ARGV: now ms. Answers 1 or 0.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'used', ARGV[1])
return 1
