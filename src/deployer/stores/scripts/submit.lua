-- SUBMIT: a job with its tasks, all or nothing.
-- KEYS: company prefix. ARGV: job, sha, doc, created ms, not_after ms, queue limit, open limit, list, user, tasks, priority, what
-- its tasks share (JSON; empty: nothing that is worth keeping), then for each task: task id, gid:nid, wire, reply, head. `list` is
-- queue, or control for what waits for no place at the agent. `reply`: the list that gets each result, with `head` in front of its
-- fields; empty for none.
-- Answers OK, DUP, CONFLICT, FULL, NO_AGENT.
local prefix = KEYS[1]
local job = prefix .. 'job:' .. ARGV[1]
local known = read(job, 'sha')[1]
if known or redis.call('EXISTS', job) == 1 then
  return known == ARGV[2] and 'DUP' or 'CONFLICT'
end
local list, n = ':' .. ARGV[8], tonumber(ARGV[10])
local some = redis.pcall('GET', prefix .. 'open')
local open = tonumber(type(some) == 'string' and some or '')
if some and not open then -- no number: it begins anew
  redis.call('UNLINK', prefix .. 'open')
end
if (open or 0) + n > tonumber(ARGV[7]) then
  return 'FULL'
end
for i = 1, n do
  local agent = 'dpl:agent:' .. ARGV[5 * i + 9]
  local its = read(agent, 'prefix', 'state')
  if its[1] ~= prefix or its[2] == 'revoked' then
    return 'NO_AGENT'
  end
  sound(agent .. list, 'list')
  sound(agent .. ':ranked', 'zset')
  if redis.call('LLEN', agent .. list) + (list == ':queue' and redis.call('ZCARD', agent .. ':ranked') or 0) >= tonumber(ARGV[6]) then
    return 'FULL'
  end
end
sound(job .. ':tasks', 'list')
redis.call('HSET', job, 'sha', ARGV[2], 'doc', ARGV[3], 'created', ARGV[4], 'not_after', ARGV[5],
  'user', ARGV[9], 'n:QUEUED', int(n), 'open', int(n))
if ARGV[11] ~= '0' then
  redis.call('HSET', job, 'priority', ARGV[11])
end
if ARGV[12] ~= '' then
  redis.call('SET', job .. ':more', ARGV[12])
else
  redis.call('UNLINK', job .. ':more')
end
redis.call('ZADD', prefix .. 'jobs', 0, ARGV[4] .. ':' .. ARGV[1])
redis.call('INCRBY', prefix .. 'open', int(n))
event(prefix, 'job.state', ARGV[1], 'QUEUED')
for i = 1, n do
  local agent = ARGV[5 * i + 9]
  local id = ARGV[5 * i + 8] .. '@' .. agent
  sound(prefix .. 'task:' .. id, 'hash')
  redis.call('HSET', prefix .. 'task:' .. id, 'state', 'QUEUED', 'job', ARGV[1], 'wire', ARGV[5 * i + 10])
  if ARGV[8] ~= 'queue' then
    redis.call('HSET', prefix .. 'task:' .. id, 'list', ARGV[8])
  end
  if ARGV[5 * i + 11] ~= '' then
    redis.call('HSET', prefix .. 'task:' .. id, 'reply', ARGV[5 * i + 11], 'head', ARGV[5 * i + 12])
  end
  redis.call('RPUSH', job .. ':tasks', id)
  redis.call('ZADD', 'dpl:deadlines', ARGV[5], prefix .. '|' .. id)
  local rank = enqueue('dpl:agent:' .. agent, ARGV[8], ARGV[5 * i + 8], ARGV[11])
  if rank ~= '' then
    redis.call('HSET', prefix .. 'task:' .. id, 'rank', rank)
  end
  redis.call('PUBLISH', 'dpl:wake', agent)
end
return 'OK'
