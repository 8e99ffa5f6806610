-- SCHEDULE: a new schedule, or a change of one.
-- KEYS: company prefix. ARGV: id, name, version that was read (empty: it is new), new version, document, last slot that was
-- planned as it was read, next slot (empty: none; =: as it is), when that is due, most of the company.
-- Answers OK, GONE, CHANGED, TAKEN, FULL.
local prefix, id, name = KEYS[1], ARGV[1], ARGV[2]
local key, names = prefix .. 'schedule:' .. id, prefix .. 'schedules:names'
sound(names, 'hash')
sound(prefix .. 'schedules', 'zset')
sound('dpl:schedules', 'zset')
local known = read(key, 'version', 'planned', 'name')
if ARGV[3] ~= '' and (known[1] ~= ARGV[3] or (known[2] or '0') ~= ARGV[6]) then
  return known[1] and 'CHANGED' or 'GONE'
end
local holder = redis.call('HGET', names, name)
if holder and holder ~= id then
  return 'TAKEN'
end
if ARGV[3] == '' and redis.call('ZCARD', prefix .. 'schedules') >= tonumber(ARGV[9]) then
  return 'FULL'
end
if known[3] and known[3] ~= name then
  redis.call('HDEL', names, known[3])
end
redis.call('HSET', key, 'version', ARGV[4], 'doc', ARGV[5], 'name', name)
redis.call('HSET', names, name, id)
redis.call('ZADD', prefix .. 'schedules', 0, id)
event(prefix, 'schedule.changed', id, '')
if ARGV[7] == '' then
  redis.call('HDEL', key, 'next')
  redis.call('ZREM', 'dpl:schedules', prefix .. '|' .. id)
elseif ARGV[7] ~= '=' then
  redis.call('HSET', key, 'next', ARGV[7])
  redis.call('ZADD', 'dpl:schedules', ARGV[8], prefix .. '|' .. id)
end
return 'OK'
