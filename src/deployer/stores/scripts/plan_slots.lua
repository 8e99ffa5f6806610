-- PLAN_SLOTS: slots of a schedule that are due wait to be dealt with from now on, and the next one is another one. Of masters
-- that have seen the same slot only one does this: nothing is planned twice.
-- KEYS: company prefix. ARGV: id, version, next slot as they were read, the next one from now on (empty: none), when that is
-- due, the last slot that is dealt with, how many were missed, the first of these when there are more that are told of
-- together with them, what is kept of all (empty: nothing), slots that fire.
-- Answers 1 when this was done, else 0.
local prefix, id = KEYS[1], ARGV[1]
local key = prefix .. 'schedule:' .. id
local known = read(key, 'version', 'next')
if known[1] ~= ARGV[2] or known[2] ~= ARGV[3] then
  return 0
end
sound('dpl:schedules', 'zset')
sound('dpl:firings', 'zset')
local member = prefix .. '|' .. id
if #ARGV >= 10 then
  sound(key .. ':waiting', 'list')
  redis.call('RPUSH', key .. ':waiting', unpack(ARGV, 10))
  redis.call('ZADD', 'dpl:firings', 'NX', int(now_ms()), member)
end
local missed = tonumber(ARGV[7])
if missed > 0 then
  count(key, 'n:missed', missed)
  event(prefix, 'schedule.missed', id, int(missed))
end
if ARGV[8] ~= '' then
  count(key, 'untold', missed)
  redis.call('HSETNX', key, 'untold_since', ARGV[8])
elseif ARGV[9] ~= '' then
  sound(key .. ':firings', 'list')
  redis.call('LPUSH', key .. ':firings', ARGV[9])
  redis.call('LTRIM', key .. ':firings', 0, 19)
  redis.call('HDEL', key, 'untold', 'untold_since')
end
redis.call('HSET', key, 'planned', ARGV[6])
if ARGV[4] == '' then
  redis.call('HDEL', key, 'next')
  redis.call('ZREM', 'dpl:schedules', member)
else
  redis.call('HSET', key, 'next', ARGV[4])
  redis.call('ZADD', 'dpl:schedules', ARGV[5], member)
end
return 1
