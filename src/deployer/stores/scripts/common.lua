-- In front of every script. Payloads are opaque: nothing here parses JSON (cjson damages big integers and empty lists).
-- A script that fails half-way is not rolled back: each checks first and writes last, in an order in which a part is safe.

local FINAL = { OK = true, ERROR = true, TIMEOUT = true, KILLED = true }

local function int(value)
  return string.format('%d', value)
end

local function now_ms()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- One more entry for a company's event stream.
local function event(prefix, kind, subject, state)
  redis.call('XADD', prefix .. 'events', 'MAXLEN', '~', '100000', '*', 'type', kind, 'subject', subject, 'state', state)
end

-- A task changes state; its job counts along. A kill has no job.
local function move(prefix, task, job, from, to)
  redis.call('HSET', task, 'state', to)
  if job ~= '' then
    redis.call('HINCRBY', prefix .. 'job:' .. job, 'n:' .. from, -1)
    redis.call('HINCRBY', prefix .. 'job:' .. job, 'n:' .. to, 1)
  end
end

-- A task ends: state and result are kept, the job's end is published when it was the last one.
local function finish(prefix, id, job, from, to, result, now)
  local task = prefix .. 'task:' .. id
  redis.call('HSET', task, 'result', result, 'finished', int(now))
  move(prefix, task, job, from, to)
  redis.call('ZREM', 'dpl:deadlines', prefix .. '|' .. id)
  if job == '' then
    redis.call('EXPIRE', task, 86400)
    return
  end
  redis.call('DECR', prefix .. 'open')
  local key = prefix .. 'job:' .. job
  if redis.call('HINCRBY', key, 'open', -1) == 0 then
    redis.call('HSET', key, 'finished', int(now))
    redis.call('ZADD', prefix .. 'finished', int(now), job)
    redis.call('PUBLISH', 'dpl:done', job)
  end
end

-- An agent was heard: at most every `every` ms this is written, and it is online.
local function touch(agent, id, prefix, every, now)
  local known = redis.call('HMGET', agent, 'state', 'last_seen')
  if known[1] == 'online' and known[2] and now - tonumber(known[2]) < every then
    return
  end
  redis.call('HSET', agent, 'state', 'online', 'last_seen', int(now))
  redis.call('ZADD', 'dpl:seen:online', int(now), id)
  if known[1] ~= 'online' then
    redis.call('ZREM', 'dpl:seen:overdue', id)
    event(prefix, 'agent.state', id, 'online')
  end
end
