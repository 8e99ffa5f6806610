-- MONITOR: a new monitor, or a change of one; what its thresholds stand at begins anew.
-- KEYS: company prefix, agent. ARGV: id, gid:nid, version that was read (empty: it is new), new version, document, most of
-- the company, most of the agent, thresholds at most.
-- Answers OK, NO_AGENT, GONE, CHANGED, FULL.
local prefix, id = KEYS[1], ARGV[1]
local key = prefix .. 'monitor:' .. id
local of_agent = prefix .. 'monitors:' .. ARGV[2]
if ARGV[3] == '' then
  if read(KEYS[2], 'prefix')[1] ~= prefix then
    return 'NO_AGENT'
  end
  if redis.call('ZCARD', prefix .. 'monitors') >= tonumber(ARGV[6]) or redis.call('SCARD', of_agent) >= tonumber(ARGV[7]) then
    return 'FULL'
  end
else
  local version = read(key, 'version')[1]
  if version ~= ARGV[3] then
    return version and 'CHANGED' or 'GONE'
  end
end
redis.call('DEL', key)
redis.call('HSET', key, 'version', ARGV[4], 'doc', ARGV[5])
redis.call('ZADD', prefix .. 'monitors', 0, id)
redis.call('SADD', of_agent, id)
for i = 0, tonumber(ARGV[8]) - 1 do
  redis.call('ZREM', 'dpl:breaches', prefix .. '|' .. id .. '|' .. int(i))
end
return 'OK'
