-- LOOK_PLAN: a job with the next of its planned tasks, at one time.
-- KEYS: job. ARGV: most planned tasks. Answers {fields of the job, entries, what its tasks need}, or nothing when it has no plan.
local key = KEYS[1]
if redis.pcall('HEXISTS', key, 'plan') ~= 1 then
  return false
end
sound(key .. ':plan', 'list')
sound(key .. ':more', 'string')
return { redis.call('HGETALL', key), redis.call('LRANGE', key .. ':plan', 0, tonumber(ARGV[1]) - 1), redis.call('GET', key .. ':more') }
