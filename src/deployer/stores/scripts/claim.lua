-- CLAIM: commands for one agent, taken from its queue and noted as in flight in one step.
-- KEYS: agent, company prefix. ARGV: gid:nid, epoch, most, lease ms, touch ms, most bytes, most bytes of one command.
-- Answers {OK, ids of damaged tasks, id, wire, …}, {STALE}, or {AGAIN}: end this poll, so that the next one shows that the
-- agent lives; another instance of it has come, and a poll that waits proves nothing. Looks at no more than 100 expired leases and 100 + most ids
-- of each list. An id without a record is that of a job that was retired, or of another agent: nothing is lost with it.
local agent, prefix = KEYS[1], KEYS[2]
local known = read(agent, 'epoch', 'asked', 'polled')
if known[1] ~= ARGV[2] then
  return { 'STALE' }
end
local now = now_ms()
if known[2] and known[2] ~= known[3] then
  redis.call('HSET', agent, 'polled', known[2])
  return { 'AGAIN' }
end
if known[2] then
  redis.call('HDEL', agent, 'asked', 'polled')
  redis.call('HSET', agent, 'answered', int(now))
end
touch(agent, ARGV[1], prefix, tonumber(ARGV[5]), now)
local inflight = agent .. ':inflight'
sound(inflight, 'zset')
sound(agent .. ':control', 'list')
sound(agent .. ':queue', 'list')
sound(agent .. ':ranked', 'zset')
local damaged = {}

local expired = redis.call('ZRANGEBYSCORE', inflight, '-inf', int(now), 'LIMIT', 0, 100)
for i = #expired, 1, -1 do
  local id = expired[i]
  redis.call('ZREM', inflight, id)
  local known = sound_task(prefix, id .. '@' .. ARGV[1], now, damaged, 'list', 'rank')
  if known[1] == 'SENT' then
    move(prefix, prefix .. 'task:' .. id .. '@' .. ARGV[1], known[2], 'SENT', 'QUEUED')
    if known[4] and tonumber(known[4]) then
      redis.call('ZADD', agent .. ':ranked', known[4], id)
    else
      redis.call('LPUSH', agent .. ((known[2] == '' or known[3] == 'control') and ':control' or ':queue'), id)
    end
  end
end

local answer = { 'OK', damaged }
local bytes = tonumber(ARGV[6])
local sent = 0
-- `pop`: the next id, nothing at the end. How many more may be taken.
local function take(pop, most)
  for _ = 1, most + 100 do
    if most <= 0 or bytes <= 0 then
      return most
    end
    local id = pop()
    if not id then
      return most
    end
    local task = id .. '@' .. ARGV[1]
    local known = sound_task(prefix, task, now, damaged, 'wire')
    if known[1] == 'QUEUED' and known[3] and string.len(known[3]) <= tonumber(ARGV[7]) then
      -- by thousandths of the last millisecond of the lease: what comes again comes in the order in which it was sent
      redis.call('ZADD', inflight, string.format('%.3f', now + tonumber(ARGV[4]) - 1 + sent / 1000), id)
      redis.call('HSET', prefix .. 'task:' .. task, 'sent', int(now))
      move(prefix, prefix .. 'task:' .. task, known[2], 'QUEUED', 'SENT')
      table.insert(answer, id)
      table.insert(answer, known[3])
      sent = sent + 1
      most = most - 1
      bytes = bytes - string.len(known[3])
    elseif known[1] == 'QUEUED' and spoil(prefix, task, now) then
      table.insert(damaged, task)
    end
  end
  return most
end
local function of_list(name)
  return function()
    return redis.call('LPOP', agent .. name)
  end
end
local function of_ranked(low, high)
  return function()
    local id = redis.call('ZRANGEBYSCORE', agent .. ':ranked', low, high, 'LIMIT', 0, 1)[1]
    if id then
      redis.call('ZREM', agent .. ':ranked', id)
    end
    return id
  end
end
take(of_list(':control'), 100)
local most = tonumber(ARGV[3])
local ranks = most > 0 and redis.call('EXISTS', agent .. ':ranked') == 1
if ranks then
  most = take(of_ranked('-inf', '(0'), most)
end
most = take(of_list(':queue'), most)
if ranks then
  most = take(of_ranked('0', '+inf'), most)
end
if sent == 0 and tonumber(ARGV[3]) > 0 and redis.call('LLEN', agent .. ':queue') + redis.call('ZCARD', agent .. ':ranked') > 0 then
  redis.call('PUBLISH', 'dpl:wake', ARGV[1]) -- what was in front has ended meanwhile: who waits asks again
end
return answer
