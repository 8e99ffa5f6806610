-- DROP_MONITOR: it is watched no longer.
-- KEYS: company prefix. ARGV: id, gid:nid, version that was read, thresholds at most. Answers OK, GONE, CHANGED.
local prefix, id = KEYS[1], ARGV[1]
local version = read(prefix .. 'monitor:' .. id, 'version')[1]
if version ~= ARGV[3] then
  return version and 'CHANGED' or 'GONE'
end
redis.call('UNLINK', prefix .. 'monitor:' .. id)
redis.call('ZREM', prefix .. 'monitors', id)
redis.call('SREM', prefix .. 'monitors:' .. ARGV[2], id)
for i = 0, tonumber(ARGV[4]) - 1 do
  redis.call('ZREM', 'dpl:breaches', prefix .. '|' .. id .. '|' .. int(i))
end
return 'OK'
