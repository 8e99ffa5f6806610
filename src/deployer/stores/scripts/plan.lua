-- PLAN: a job whose tasks are made later, all or nothing.
-- KEYS: company prefix. ARGV: job, sha, doc, created ms, not_after ms, open limit, user, what its tasks need (JSON), priority, number of jobs
-- that it waits for, these, then an entry for each planned task (JSON).
-- Answers OK, DUP, CONFLICT, FULL, NO_JOB:<which, from 0>, MANY (jobs wait for one of these already).
local prefix = KEYS[1]
local job = prefix .. 'job:' .. ARGV[1]
local known = read(job, 'sha')[1]
if known or redis.call('EXISTS', job) == 1 then
  return known == ARGV[2] and 'DUP' or 'CONFLICT'
end
local waits = tonumber(ARGV[10])
local n = #ARGV - 10 - waits
local open = tonumber(redis.call('TYPE', prefix .. 'open')['ok'] == 'string' and redis.call('GET', prefix .. 'open') or '')
if (open or 0) + n > tonumber(ARGV[6]) then
  return 'FULL'
end
for i = 11, 10 + waits do
  local other = prefix .. 'job:' .. ARGV[i]
  if not read(other, 'sha')[1] then
    return 'NO_JOB:' .. int(i - 11)
  end
  sound(other .. ':next', 'set')
  if redis.call('SCARD', other .. ':next') >= 1000 then
    return 'MANY'
  end
end
if not open then -- no number: it begins anew
  redis.call('UNLINK', prefix .. 'open')
end
redis.call('UNLINK', job .. ':tasks', job .. ':plan', job .. ':more', job .. ':next', job .. ':waiting')
for i = 11 + waits, #ARGV do
  redis.call('RPUSH', job .. ':plan', ARGV[i])
end
redis.call('SET', job .. ':more', ARGV[8])
redis.call('HSET', job, 'sha', ARGV[2], 'doc', ARGV[3], 'created', ARGV[4], 'not_after', ARGV[5], 'user', ARGV[7],
  'n:BLOCKED', int(n), 'open', int(n), 'plan', 1, 'priority', ARGV[9])
redis.call('ZADD', prefix .. 'jobs', 0, ARGV[4] .. ':' .. ARGV[1])
redis.call('INCRBY', prefix .. 'open', int(n))
for i = 11, 10 + waits do
  local other = prefix .. 'job:' .. ARGV[i]
  if redis.call('HEXISTS', other, 'finished') == 1 then
    redis.call('HSET', job, 'dep:' .. ARGV[i], outcome(other))
  else
    sound(other .. ':waiting', 'set')
    redis.call('SADD', other .. ':waiting', ARGV[1])
  end
  redis.call('SADD', other .. ':next', ARGV[1])
end
event(prefix, 'job.state', ARGV[1], 'BLOCKED')
due(prefix, ARGV[1])
return 'OK'
