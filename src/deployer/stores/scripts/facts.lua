-- FACTS: what a host is, kept when nobody else has made a version of it since it was read.
-- KEYS: agent, company prefix, host, its versions. ARGV: gid:nid, epoch, touch ms, most versions, number that was read
-- (0: none), sha256, facts, summary, version (empty: nothing has changed but the form).
-- Answers {OK, number, 1 when this call has made it}, {CHANGED} (read again) or {STALE}.
local agent, prefix, host, versions = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if read(agent, 'epoch')[1] ~= ARGV[2] then
  return { 'STALE' }
end
sound(host, 'hash')
sound(versions, 'zset')
local known = redis.call('HMGET', host, 'n', 'sha')
local n, made = int(tonumber(known[1] or '') or 0), 0
if known[2] ~= ARGV[6] then
  if n ~= ARGV[5] then
    return { 'CHANGED' }
  end
  if ARGV[9] ~= '' then
    n, made = int(tonumber(n) + 1), 1
    redis.call('ZADD', versions, n, ARGV[9])
    redis.call('ZREMRANGEBYRANK', versions, 0, -tonumber(ARGV[4]) - 1)
  end
  redis.call('HSET', host, 'n', n, 'sha', ARGV[6], 'facts', ARGV[7], 'summary', ARGV[8])
end
touch(agent, ARGV[1], prefix, tonumber(ARGV[3]), now_ms())
return { 'OK', n, made }
