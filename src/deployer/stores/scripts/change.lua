-- CHANGE: some tasks of an open job are changed, with it. What has never been sent gets another command, what has been is told by a
-- command of its own; what has ended stays. Their places in the queue go by the new priority.
-- KEYS: company prefix. ARGV: job, changes that were seen, this change, what is changed by now (JSON), priority ('' : as it is), then for
-- each task: id, gid:nid, wire ('' : as it is), id and wire of the command that tells it ('' : none).
-- Answers OK, CHANGED (by somebody else meanwhile), ENDED or NONE.
local prefix, job = KEYS[1], ARGV[1]
local key = prefix .. 'job:' .. job
local known = read(key, 'sha', 'finished', 'changes')
if not known[1] then
  return 'NONE'
end
if known[2] then
  return 'ENDED'
end
local changes = known[3] or '0'
if changes ~= ARGV[2] and changes ~= ARGV[3] then
  return 'CHANGED'
end
redis.call('HSET', key, 'changes', ARGV[3], 'change', ARGV[4])
if ARGV[5] ~= '' then
  redis.call('HSET', key, 'priority', ARGV[5])
  sound(prefix .. 'hungry', 'zset')
  redis.call('ZADD', prefix .. 'hungry', 'XX', -tonumber(ARGV[5]), job)
end
if changes == ARGV[2] then
  event(prefix, 'job.changed', job, '')
end
local damaged, now = {}, now_ms()
local function tell(id, agent, wire)
  local task = prefix .. 'task:' .. id .. '@' .. agent
  sound(task, 'hash')
  sound('dpl:agent:' .. agent .. ':control', 'list')
  if redis.call('HSETNX', task, 'state', 'QUEUED') == 1 then
    redis.call('HSET', task, 'job', '', 'wire', wire)
    redis.call('RPUSH', 'dpl:agent:' .. agent .. ':control', id)
    redis.call('PUBLISH', 'dpl:wake', agent)
  end
end
for i = 6, #ARGV, 5 do
  local agent = 'dpl:agent:' .. ARGV[i + 1]
  local task = prefix .. 'task:' .. ARGV[i] .. '@' .. ARGV[i + 1]
  local is = sound_task(prefix, ARGV[i] .. '@' .. ARGV[i + 1], now, damaged, 'sent', 'rank', 'list')
  if is[1] == 'QUEUED' and is[5] ~= 'control' and ARGV[5] ~= '' then
    sound(agent .. ':queue', 'list')
    sound(agent .. ':ranked', 'zset')
    if is[4] then
      redis.call('ZREM', agent .. ':ranked', ARGV[i])
      redis.call('HDEL', task, 'rank')
    else
      redis.call('LREM', agent .. ':queue', 1, ARGV[i])
    end
    local rank = enqueue(agent, 'queue', ARGV[i], ARGV[5])
    if rank ~= '' then
      redis.call('HSET', task, 'rank', rank)
    end
  end
  if ARGV[i + 2] ~= '' and is[1] and not FINAL[is[1]] then
    if is[1] == 'QUEUED' and not is[3] then
      redis.call('HSET', task, 'wire', ARGV[i + 2])
    else -- its agent may know it as it was
      tell(ARGV[i + 3], ARGV[i + 1], ARGV[i + 4])
    end
  end
end
return 'OK'
