-- RETIRE: finished jobs that are too old or too many go, with their tasks. At most 100 jobs a call, of not many more than 1000 tasks.
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
local gone, tasks = 0, 0
for _, id in ipairs(old) do
  if tasks >= 1000 then
    break
  end
  local job = prefix .. 'job:' .. id
  sound(job, 'hash')
  sound(job .. ':tasks', 'list')
  local some = redis.call('LRANGE', job .. ':tasks', 0, 999)
  for _, task in ipairs(some) do
    redis.call('UNLINK', prefix .. 'task:' .. task, prefix .. 'task:' .. task .. ':runs')
  end
  tasks = tasks + #some
  redis.call('LTRIM', job .. ':tasks', #some, -1)
  local created = redis.call('HGET', job, 'created')
  if created then -- it is not listed any more, even when the rest of it goes with the next call
    redis.call('ZREM', prefix .. 'jobs', created .. ':' .. id)
  end
  gone = gone + 1
  if redis.call('EXISTS', job .. ':tasks') == 0 then
    redis.call('UNLINK', job, job .. ':tasks', job .. ':plan', job .. ':more', job .. ':next', job .. ':waiting')
    redis.call('ZREM', index, id)
  end
end
return gone
