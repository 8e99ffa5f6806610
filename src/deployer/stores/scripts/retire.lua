-- RETIRE: finished jobs that are too old or too many go, with their tasks. At most 100 jobs a call.
-- KEYS: company prefix. ARGV: ms that they stay, most that stay. By Redis' clock, which noted their end.
-- Answers how many went.
local prefix = KEYS[1]
local index = prefix .. 'finished'
local old = redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. int(now_ms() - tonumber(ARGV[1])), 'LIMIT', 0, 100)
if #old == 0 then
  local surplus = redis.call('ZCARD', index) - tonumber(ARGV[2])
  if surplus > 0 then
    old = redis.call('ZRANGE', index, 0, math.min(surplus, 100) - 1)
  end
end
for _, id in ipairs(old) do
  local job = prefix .. 'job:' .. id
  sound(job, 'hash')
  sound(job .. ':tasks', 'list')
  for _, task in ipairs(redis.call('LRANGE', job .. ':tasks', 0, -1)) do
    redis.call('UNLINK', prefix .. 'task:' .. task, prefix .. 'task:' .. task .. ':runs')
  end
  local created = redis.call('HGET', job, 'created')
  if created then
    redis.call('ZREM', prefix .. 'jobs', created .. ':' .. id)
  end
  redis.call('UNLINK', job, job .. ':tasks')
  redis.call('ZREM', index, id)
end
return #old
