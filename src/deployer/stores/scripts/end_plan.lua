-- END_PLAN: what of a job is not made yet ends, all in one step. The plan stays, for who reads the job's tasks.
-- KEYS: company prefix, plans. ARGV: job, state, result. Answers how many tasks ended.
local prefix, job = KEYS[1], ARGV[1]
local key = prefix .. 'job:' .. job
sound(KEYS[2], 'zset')
redis.call('ZREM', KEYS[2], prefix .. '|' .. job)
if redis.pcall('HEXISTS', key, 'plan') ~= 1 then
  if redis.pcall('HEXISTS', key, 'sha') == 1 then -- it gets no more tasks
    redis.call('HSETNX', key, 'rest', ARGV[3])
  end
  return 0
end
local now = now_ms()
sound(key .. ':plan', 'list')
local counted_so = redis.pcall('HGET', key, 'n:BLOCKED')
local n = math.max(tonumber(type(counted_so) == 'string' and string.match(counted_so, '^%d%d?%d?%d?%d?$') or '') or 0, redis.call('LLEN', key .. ':plan'))
redis.call('HDEL', key, 'plan')
if n == 0 then
  return 0
end
redis.call('HSET', key, 'rest', ARGV[3], 'rest_state', ARGV[2], 'rest_at', int(now))
count(key, 'n:BLOCKED', -n)
count(key, 'n:' .. ARGV[2], n)
if not counted('DECRBY', prefix .. 'open', int(n)) then
  redis.call('UNLINK', prefix .. 'open')
end
local left = count(key, 'open', -n)
if not left or left < 0 then
  left = still_open(key)
  redis.pcall('HSET', key, 'open', left)
end
if left == 0 then
  close(prefix, job, now)
end
return n
