-- MAKE: the next planned tasks of a job come to their agents, in one step with what the plan loses. One that finds no room
-- comes to the plan's end.
-- KEYS: company prefix. ARGV: job, changes that were seen, most failures (0: any number), priority, queue limit, not_after ms, result for a revoked agent, list
-- (queue or control), then for each: entry as the plan has it, task id, gid:nid ('' : there is none with room), wire, item, ram, load (in
-- thousandths), most ram, most load, most jobs of the agent (each '' : any).
-- Answers {verdict, …}: MADE, FULL, GONE (its agent is revoked: the task has ended); or CHANGED, when the plan is not as it was seen or has
-- ended; or STOP.
local prefix, job = KEYS[1], ARGV[1]
local key = prefix .. 'job:' .. job
local some = read(key, 'plan', 'n:ERROR', 'n:TIMEOUT', 'n:KILLED', 'changes')
if not some[1] or (some[5] or '0') ~= ARGV[2] then
  return 'CHANGED'
end
local most = tonumber(ARGV[3])
if most > 0 and (tonumber(some[2] or '') or 0) + (tonumber(some[3] or '') or 0) + (tonumber(some[4] or '') or 0) >= most then
  return 'STOP'
end
local plan = key .. ':plan'
local n = (#ARGV - 8) / 10
sound(plan, 'list')
sound(key .. ':tasks', 'list')
local seen = redis.call('LRANGE', plan, 0, n - 1)
for i = 1, n do
  if seen[i] ~= ARGV[10 * i - 1] then
    return 'CHANGED'
  end
end
local now = now_ms()
local function within(agent, field, more, limit)
  return limit == '' or tonumber(more) == 0 or (tonumber(redis.call('HGET', agent, field) or '') or 0) + tonumber(more) <= tonumber(limit)
end
local function verdict(i)
  local id = ARGV[i + 2]
  local agent = 'dpl:agent:' .. id
  if id == '' then
    return 'FULL'
  end
  local its = read(agent, 'prefix', 'state')
  if its[1] ~= prefix or its[2] == 'revoked' then
    return 'GONE'
  end
  sound(agent .. ':queue', 'list')
  sound(agent .. ':ranked', 'zset')
  if redis.call('LLEN', agent .. ':queue') + redis.call('ZCARD', agent .. ':ranked') >= tonumber(ARGV[5]) then
    return 'FULL'
  end
  if load_of(agent) == 0 then -- what is held by nobody was left by a damaged record
    redis.call('HDEL', agent, 'held_ram', 'held_load')
  end
  local has_room = within(agent, 'held_ram', ARGV[i + 5], ARGV[i + 7]) and within(agent, 'held_load', ARGV[i + 6], ARGV[i + 8])
  return has_room and (ARGV[i + 9] == '' or load_of(agent) < tonumber(ARGV[i + 9])) and 'MADE' or 'FULL'
end
local answer = {}
for i = 9, #ARGV, 10 do
  local is = verdict(i)
  table.insert(answer, is)
  redis.call('LPOP', plan)
  if is == 'FULL' then
    redis.call('RPUSH', plan, ARGV[i])
  else
    local id = ARGV[i + 1] .. '@' .. ARGV[i + 2]
    local task = prefix .. 'task:' .. id
    local agent = 'dpl:agent:' .. ARGV[i + 2]
    sound(task, 'hash')
    redis.call('HSET', task, 'state', 'BLOCKED', 'job', job, 'wire', ARGV[i + 3])
    if ARGV[i + 4] ~= '' then
      redis.call('HSET', task, 'item', ARGV[i + 4])
    end
    redis.call('RPUSH', key .. ':tasks', id)
    if is == 'GONE' then
      finish(prefix, id, job, 'BLOCKED', 'ERROR', ARGV[7], now)
    else
      if ARGV[i + 5] ~= '0' or ARGV[i + 6] ~= '0' then
        redis.call('HSET', task, 'ram', ARGV[i + 5], 'load', ARGV[i + 6])
        count(agent, 'held_ram', tonumber(ARGV[i + 5]))
        count(agent, 'held_load', tonumber(ARGV[i + 6]))
      end
      if ARGV[8] ~= 'queue' then
        redis.call('HSET', task, 'list', ARGV[8])
      end
      move(prefix, task, job, 'BLOCKED', 'QUEUED')
      redis.call('ZADD', 'dpl:deadlines', ARGV[6], prefix .. '|' .. id)
      local rank = enqueue(agent, ARGV[8], ARGV[i + 1], ARGV[4])
      if rank ~= '' then
        redis.call('HSET', task, 'rank', rank)
      end
      redis.call('PUBLISH', 'dpl:wake', ARGV[i + 2])
    end
  end
end
if redis.call('EXISTS', plan) == 0 then
  redis.call('HDEL', key, 'plan')
end
return answer
