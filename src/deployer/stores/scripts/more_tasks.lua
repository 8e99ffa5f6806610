-- MORE_TASKS: an open job gets more planned tasks.
-- KEYS: company prefix. ARGV: job, most tasks of a job, open limit, what its tasks need (JSON, for a job that had no plan), agents that the
-- job is on now as well (with blanks between), then the entries, without their numbers: each gets `"n":<number>` in front.
-- Answers the number of the first one, or NONE, ENDED, FULL, MOST.
local prefix, job = KEYS[1], ARGV[1]
local key = prefix .. 'job:' .. job
local known = read(key, 'sha', 'finished', 'rest')
if not known[1] then
  return 'NONE'
end
if known[2] or known[3] then
  return 'ENDED'
end
local n = #ARGV - 5
sound(key .. ':plan', 'list')
sound(key .. ':tasks', 'list')
local before = redis.call('LLEN', key .. ':plan') + redis.call('LLEN', key .. ':tasks')
if before + n > tonumber(ARGV[2]) then
  return 'MOST'
end
local some = redis.pcall('GET', prefix .. 'open')
if (tonumber(type(some) == 'string' and some or '') or 0) + n > tonumber(ARGV[3]) then
  return 'FULL'
end
redis.call('SET', key .. ':more', ARGV[4], 'NX')
for i = 1, n do
  redis.call('RPUSH', key .. ':plan', '{"n":' .. int(before + i) .. ',' .. string.sub(ARGV[i + 5], 2))
end
redis.call('HSET', key, 'plan', 1)
if ARGV[5] ~= '' then
  local added = read(key, 'added')[1]
  redis.call('HSET', key, 'added', (added and added .. ' ' or '') .. ARGV[5])
end
count(key, 'n:BLOCKED', n)
count(key, 'open', n)
redis.call('INCRBY', prefix .. 'open', int(n))
event(prefix, 'job.changed', job, '')
due(prefix, job)
return int(before + 1)
