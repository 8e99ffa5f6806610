-- LOGIN: a new session of a user; the oldest goes when there are too many.
-- KEYS: session, the user's sessions, user. ARGV: digest, company, name, seal, now ms, end ms, idle ms, most ms,
-- most sessions. Answers OK or CHANGED (the user has another seal, or is disabled, or is gone).
local known = read(KEYS[3], 'seal', 'disabled')
if known[1] ~= ARGV[4] or known[2] == '1' then
  return 'CHANGED'
end
redis.call('HSET', KEYS[1], 'company', ARGV[2], 'user', ARGV[3], 'seal', ARGV[4], 'created', ARGV[5], 'ends', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1])
while redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[9]) do
  redis.call('UNLINK', 'dpl:login:' .. redis.call('ZPOPMIN', KEYS[2])[1])
end
redis.call('PEXPIRE', KEYS[2], ARGV[8])
return 'OK'
