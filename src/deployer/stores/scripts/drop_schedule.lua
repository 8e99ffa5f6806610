-- DROP_SCHEDULE: it fires no more; the jobs that it has started stay.
-- KEYS: company prefix. ARGV: id, version that was read. Answers OK, GONE, CHANGED.
local prefix, id = KEYS[1], ARGV[1]
local key = prefix .. 'schedule:' .. id
local known = read(key, 'version', 'name')
if known[1] ~= ARGV[2] then
  return known[1] and 'CHANGED' or 'GONE'
end
sound('dpl:schedules', 'zset')
sound('dpl:firings', 'zset')
sound(prefix .. 'schedules', 'zset')
sound(prefix .. 'schedules:names', 'hash')
redis.call('ZREM', 'dpl:schedules', prefix .. '|' .. id)
redis.call('ZREM', 'dpl:firings', prefix .. '|' .. id)
redis.call('ZREM', prefix .. 'schedules', id)
if known[2] and redis.call('HGET', prefix .. 'schedules:names', known[2]) == id then
  redis.call('HDEL', prefix .. 'schedules:names', known[2])
end
event(prefix, 'schedule.removed', id, '')
redis.call('UNLINK', key, key .. ':waiting', key .. ':firings')
return 'OK'
