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

-- One more element for who waits at cmds_queue_<id>: seed 001's result, with every field that it names. A quote inside
-- of a JSON text has a backslash before it, so what is searched for is found as a field only. The id is that of `head`.
local function reply(task, result)
  local to = redis.call('HMGET', task, 'reply', 'head')
  if not to[1] then
    return
  end
  local whole = '{' .. to[2] .. ',' .. string.sub(string.gsub(result, '^{"id":"[^"]*",', '{', 1), 2, -2)
  for _, field in ipairs({ { 'data', '""' }, { 'level', '0' }, { 'time', '0' }, { 'starttime', '0' } }) do
    if not string.find(result, ',"' .. field[1] .. '":', 1, true) then
      whole = whole .. ',"' .. field[1] .. '":' .. field[2]
    end
  end
  redis.call('RPUSH', to[1], whole .. '}')
  redis.call('LTRIM', to[1], -1000, -1)
  redis.call('EXPIRE', to[1], 86400)
end

-- A task ends: state and result are kept, the job's end is published when it was the last one.
local function finish(prefix, id, job, from, to, result, now)
  local task = prefix .. 'task:' .. id
  redis.call('HSET', task, 'result', result, 'finished', int(now))
  move(prefix, task, job, from, to)
  reply(task, result)
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
