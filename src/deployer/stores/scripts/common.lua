-- In front of every script. Payloads are opaque: nothing here parses JSON (cjson damages big integers and empty lists).
-- A script that fails half-way is not rolled back: each checks first and writes last, in an order in which a part is safe.
-- A damaged record ends as CORRUPT, or counts as not there: it never stops what stands beside it (RELIABILITY D3).

local FINAL = { OK = true, ERROR = true, TIMEOUT = true, KILLED = true }
local OPEN = { 'QUEUED', 'SENT', 'RUNNING', 'BLOCKED' }
local STATES = { QUEUED = true, SENT = true, RUNNING = true, BLOCKED = true, OK = true, ERROR = true, TIMEOUT = true, KILLED = true }
local CORRUPT = '{"id":"corrupt","state":"ERROR","code":"CORRUPT","reason":"its record in Redis is damaged"}'

local function int(value)
  return string.format('%d', value)
end

local function now_ms()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- Fields of a record; none of them, and true, when something else lies there.
local function read(key, ...)
  local found = redis.pcall('HMGET', key, ...)
  if not found['err'] then
    return found, false
  end
  if not string.find(found['err'], 'WRONGTYPE', 1, true) then
    return redis.call('HMGET', key, ...) -- no right to: this ends the script as it should
  end
  return {}, true
end

-- The number that a call answers; nil when there is none to count with. Any other failure (no memory) ends the script.
local function counted(...)
  local n = redis.pcall(...)
  if type(n) ~= 'table' then
    return n
  end
  for _, word in ipairs({ 'integer', 'overflow', 'WRONGTYPE' }) do
    if string.find(n['err'], word, 1, true) then
      return nil
    end
  end
  return redis.call(...)
end

-- Ends the script in a Redis that takes no writes, by one that would change nothing. What is UNKNOWN is forgotten by who
-- asked, and a read-only replica may know less than there was.
local function must_take_writes()
  redis.call('SET', 'dpl:probe', '', 'XX')
end

-- What is not of its kind holds nothing of ours, and every call on it would fail: it goes.
local function sound(key, kind)
  local is = redis.call('TYPE', key)['ok']
  if is ~= kind and is ~= 'none' then
    redis.call('UNLINK', key)
  end
end

-- A count changes; one that is no number begins anew.
local function count(key, field, by)
  local n = counted('HINCRBY', key, field, by)
  if not n then
    redis.pcall('HSET', key, field, math.max(by, 0))
  end
  return n
end

-- One more entry for a company's event stream. Who follows is woken at most twenty times a second, and looks once more after that.
local function event(prefix, kind, subject, state)
  local args = { 'XADD', prefix .. 'events', 'MAXLEN', '~', '100000', '*', 'type', kind, 'subject', subject, 'state', state }
  if type(redis.pcall(unpack(args))) == 'table' then -- an error: no stream lies there
    sound(prefix .. 'events', 'stream')
    redis.pcall(unpack(args))
  end
  if redis.call('SET', prefix .. 'events:told', '', 'NX', 'PX', 50) then
    redis.call('PUBLISH', 'dpl:wake', prefix .. 'events')
  end
end

-- A stream of points keeps within so many entries and bytes: the oldest go. How many.
local function bounded(stream, added, entries, most)
  local bytes = (tonumber(redis.call('GET', stream .. ':bytes') or '') or 0) + added
  local length, gone = redis.call('XLEN', stream), 0
  while length > entries or (bytes > most and length > 0) do
    local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    redis.call('XDEL', stream, oldest[1])
    bytes, length, gone = bytes - string.len(oldest[2][#oldest[2]]), length - 1, gone + 1
  end
  redis.call('SET', stream .. ':bytes', int(math.max(0, bytes)))
  return gone
end

-- One more entry of messages, whose stream is sound: it counts for the company's bytes, and tells when the stream last grew.
local function said(prefix, stream, messages)
  local entry = redis.call('XADD', stream, '*', 'm', messages)
  redis.call('ZINCRBY', prefix .. 'logs', string.len(messages), stream)
  counted('INCRBY', prefix .. 'logs:total', string.len(messages))
  local ms = string.match(entry, '^%d+')
  redis.call('ZADD', prefix .. 'logs:at', ms, stream)
  redis.call('ZADD', prefix .. 'logs:first:0', 'NX', ms, stream)
  return entry
end

-- An agent's state is another one from now on: the last twenty are kept.
local function agent_is(agent, id, prefix, state, now)
  event(prefix, 'agent.state', id, state)
  redis.pcall('LPUSH', agent .. ':states', int(now) .. ' ' .. state)
  redis.pcall('LTRIM', agent .. ':states', 0, 19)
end

-- A task changes state; its job counts along. A kill has no job.
local function move(prefix, task, job, from, to)
  redis.call('HSET', task, 'state', to)
  if job ~= '' then
    count(prefix .. 'job:' .. job, 'n:' .. from, -1)
    count(prefix .. 'job:' .. job, 'n:' .. to, 1)
  end
end

-- A job's plan may go on: whoever makes tasks looks at it at once, at those with a higher priority first.
local function due(prefix, job, quiet)
  sound('dpl:plans', 'zset')
  redis.call('ZADD', 'dpl:plans', -(tonumber(read(prefix .. 'job:' .. job, 'priority')[1] or '') or 0), prefix .. '|' .. job)
  if not quiet then
    redis.call('PUBLISH', 'dpl:wake', 'plans')
  end
end

-- How a job without open tasks ended: the worst of its tasks' ends.
local function outcome(key)
  for _, state in ipairs({ 'ERROR', 'TIMEOUT', 'KILLED' }) do
    local some = redis.pcall('HGET', key, 'n:' .. state)
    if type(some) == 'string' and (tonumber(some) or 0) > 0 then
      return state
    end
  end
  return 'OK'
end

-- A job has no open task any more. Those that wait for it are told how it ended by TELL, some at a time: they may be many.
local function close(prefix, job, now)
  local key = prefix .. 'job:' .. job
  redis.pcall('HSET', key, 'finished', int(now))
  redis.call('ZADD', prefix .. 'finished', int(now), job)
  event(prefix, 'job.state', job, outcome(key))
  redis.call('PUBLISH', 'dpl:done', job)
  if redis.call('EXISTS', key .. ':waiting') == 1 then
    sound('dpl:ended', 'zset')
    redis.call('ZADD', 'dpl:ended', int(now), prefix .. '|' .. job)
    redis.call('PUBLISH', 'dpl:wake', 'plans')
  end
end

-- How many tasks an agent has to do.
local function load_of(agent)
  local n = 0
  for _, command in ipairs({ { 'LLEN', ':queue' }, { 'ZCARD', ':ranked' }, { 'ZCARD', ':inflight' }, { 'ZCARD', ':running' } }) do
    local some = redis.pcall(command[1], agent .. command[2])
    n = n + (type(some) == 'number' and some or 0)
  end
  return n
end

-- A task waits at its agent: `rank` is its priority and place among those that have one, empty for all others.
local function enqueue(agent, list, id, priority)
  sound(agent .. ':' .. list, 'list')
  if list ~= 'queue' or priority == '' or priority == '0' then
    redis.call('RPUSH', agent .. ':' .. list, id)
    return ''
  end
  local n = redis.pcall('HINCRBY', agent, 'ranks', 1)
  local rank = string.format('%.0f', -tonumber(priority) * 1e12 + (type(n) == 'number' and n or 0))
  sound(agent .. ':ranked', 'zset')
  redis.call('ZADD', agent .. ':ranked', rank, id)
  return rank
end

-- An agent has room for one task more: some of those jobs that wait for room are looked at, the highest priority first.
local function room(prefix)
  local key = prefix .. 'hungry'
  if redis.call('EXISTS', key) == 0 then
    return
  end
  sound(key, 'zset')
  for _, job in ipairs(redis.call('ZRANGE', key, 0, 2)) do
    redis.call('ZREM', key, job)
    due(prefix, job, true)
  end
  redis.call('PUBLISH', 'dpl:wake', 'plans')
end

-- What a task held of its agent is free again.
local function let_go(id, ram, load)
  local agent = 'dpl:agent:' .. (string.match(id, '@([%d:]+)$') or '')
  if redis.call('EXISTS', agent) == 1 then
    count(agent, 'held_ram', -(tonumber(ram) or 0))
    count(agent, 'held_load', -(tonumber(load) or 0))
  end
end

-- One more element for who waits at cmds_queue_<id>: seed 001's result, with every field that it names. A quote inside
-- of a JSON text has a backslash before it, so what is searched for is found as a field only. The id is that of `head`.
local function reply(task, to, result)
  if not to[1] or not to[2] then
    return
  end
  local whole = '{' .. to[2] .. ',' .. string.sub(string.gsub(result, '^{"id":"[^"]*",', '{', 1), 2, -2)
  for _, field in ipairs({ { 'data', '""' }, { 'level', '0' }, { 'time', '0' }, { 'starttime', '0' } }) do
    if not string.find(result, ',"' .. field[1] .. '":', 1, true) then
      whole = whole .. ',"' .. field[1] .. '":' .. field[2]
    end
  end
  redis.pcall('RPUSH', to[1], whole .. '}') -- the list is somebody else's as well: it may be anything by now
  redis.pcall('LTRIM', to[1], -1000, -1)
  redis.call('EXPIRE', to[1], 86400)
end

-- How many tasks of a job are open, by its counts of states.
local function still_open(job)
  local n = 0
  for _, state in ipairs(OPEN) do
    local some = redis.pcall('HGET', job, 'n:' .. state)
    n = n + (type(some) == 'string' and math.max(tonumber(some) or 0, 0) or 0)
  end
  return n
end

-- What an agent has processed: counted by state, the last twenty failures kept.
local function processed(id, to, now)
  local agent = 'dpl:agent:' .. (string.match(id, '@([%d:]+)$') or '')
  if redis.call('EXISTS', agent) == 0 then
    return
  end
  redis.pcall('ZREM', agent .. ':running', id)
  redis.pcall('HINCRBY', agent, 'n:' .. to, 1)
  if to == 'ERROR' or to == 'TIMEOUT' then
    redis.pcall('LPUSH', agent .. ':failures', int(now) .. ' ' .. to .. ' ' .. id)
    redis.pcall('LTRIM', agent .. ':failures', 0, 19)
  end
end

-- A task ends: state and result are kept, the job's end is published when it was the last one.
local function finish(prefix, id, job, from, to, result, now)
  local task = prefix .. 'task:' .. id
  redis.call('HSET', task, 'result', result, 'finished', int(now))
  redis.call('HDEL', task, 'wire') -- it may be long, and is kept for days
  move(prefix, task, job, from, to)
  processed(id, to, now)
  local its = redis.call('HMGET', task, 'reply', 'head', 'ram', 'load')
  reply(task, its, result)
  if its[3] then
    redis.call('HDEL', task, 'ram', 'load')
    let_go(id, its[3], its[4])
  end
  redis.call('ZREM', 'dpl:deadlines', prefix .. '|' .. id)
  room(prefix)
  if job == '' then
    redis.call('EXPIRE', task, 86400)
    return
  end
  event(prefix, 'task.state', id, to)
  if not counted('DECR', prefix .. 'open') then
    redis.call('UNLINK', prefix .. 'open')
  end
  local key = prefix .. 'job:' .. job
  local left = count(key, 'open', -1)
  if not left or left < 0 then
    left = still_open(key)
    redis.pcall('HSET', key, 'open', left)
  end
  if left == 0 then
    close(prefix, job, now)
  elseif redis.pcall('HEXISTS', key, 'plan') == 1 then
    due(prefix, job)
  end
end

-- The record of a task is damaged: it ends as CORRUPT, and its job with it. False when there is nothing to write to, or
-- it has ended. What the record does not tell any more is guessed from the task's name and its job's counts.
local function spoil(prefix, id, now)
  local task = prefix .. 'task:' .. id
  local known, other = read(task, 'state', 'job')
  if FINAL[known[1]] or redis.call('EXISTS', task) == 0 then
    return false
  end
  if other then
    redis.call('UNLINK', task)
  end
  local job, from = known[2], known[1]
  if not job then
    job = (string.find(id, ':kill@', 1, true) or string.find(id, ':l%x%x%x%x%x%x%x%x@')) and '' or string.match(id, '^[^:@]*')
  end
  if job ~= '' and redis.call('EXISTS', prefix .. 'job:' .. job) == 0 then
    job = ''
  end
  if not STATES[from] then
    from = 'QUEUED'
    for _, state in ipairs(OPEN) do
      local some = redis.pcall('HGET', prefix .. 'job:' .. job, 'n:' .. state)
      if type(some) == 'string' and (tonumber(some) or 0) > 0 then
        from = state
        break
      end
    end
  end
  redis.call('HSET', task, 'job', job)
  finish(prefix, id, job, from, 'ERROR', CORRUPT, now)
  event(prefix, 'task.corrupt', id, 'ERROR')
  return true
end

-- Fields of a task that must have state and job; nothing, and whether it ended now, when it does not. `damaged` gets
-- the ids of those that ended.
local function sound_task(prefix, id, now, damaged, ...)
  local known, other = read(prefix .. 'task:' .. id, 'state', 'job', ...)
  if not other and STATES[known[1]] and known[2] then
    return known
  end
  if spoil(prefix, id, now) then
    table.insert(damaged, id)
    return { 'ERROR', '' }
  end
  return {}
end

-- An agent was heard: at most every `every` ms this is written, and it is online.
local function touch(agent, id, prefix, every, now)
  local known = redis.call('HMGET', agent, 'state', 'last_seen')
  if known[1] == 'online' and now - (tonumber(known[2] or '') or 0) < every then
    return
  end
  redis.call('HSET', agent, 'state', 'online', 'last_seen', int(now))
  redis.call('ZADD', 'dpl:seen:online', int(now), id)
  if known[1] ~= 'online' then
    redis.call('ZREM', 'dpl:seen:overdue', id)
    agent_is(agent, id, prefix, 'online', now)
  end
end

-- A new agent of a company, with this number or the grid's next; its number. The caller has looked that this one is free.
local function enrol(company, gid, nid, public_key, hostname, now)
  if nid == '' then
    repeat
      nid = int(redis.call('HINCRBY', 'dpl:grid:' .. gid, 'next', 1))
    until redis.call('EXISTS', 'dpl:agent:' .. gid .. ':' .. nid) == 0
  end
  local id = gid .. ':' .. nid
  local prefix = 'dpl:c:' .. company .. ':'
  redis.call('HSET', 'dpl:keys', public_key, id)
  redis.call('ZADD', prefix .. 'agents', 0, string.format('%010d:%010d', tonumber(gid), tonumber(nid)))
  redis.call('HSET', 'dpl:agent:' .. id, 'company', company, 'prefix', prefix, 'public_key', public_key, 'hostname',
    hostname, 'state', 'offline', 'joined', now)
  event(prefix, 'agent.joined', id, 'offline')
  return nid
end
