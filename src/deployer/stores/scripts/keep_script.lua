-- KEEP_SCRIPT: one more version of a script; the oldest beyond the most goes.
-- KEYS: company prefix. ARGV: domain/name, sha, text, record, most scripts, most versions.
-- Answers NEW, SAME (this text is the newest already) or FULL.
local index, key = KEYS[1] .. 'scripts', KEYS[1] .. 'script:' .. ARGV[1]
local newest = redis.call('LINDEX', key .. ':versions', 0)
if newest == ARGV[2] then
  return 'SAME'
end
if not newest and redis.call('HLEN', index) >= tonumber(ARGV[5]) then
  return 'FULL'
end
redis.call('HSET', key, ARGV[2], ARGV[3])
redis.call('LREM', key .. ':versions', 0, ARGV[2])
redis.call('LPUSH', key .. ':versions', ARGV[2])
while redis.call('LLEN', key .. ':versions') > tonumber(ARGV[6]) do
  redis.call('HDEL', key, redis.call('RPOP', key .. ':versions'))
end
redis.call('HSET', index, ARGV[1], ARGV[4])
return 'NEW'
