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
local damaged = {}

local expired = redis.call('ZRANGEBYSCORE', inflight, '-inf', int(now), 'LIMIT', 0, 100)
for i = #expired, 1, -1 do
  local id = expired[i]
  redis.call('ZREM', inflight, id)
  local known = sound_task(prefix, id .. '@' .. ARGV[1], now, damaged, 'list')
  if known[1] == 'SENT' then
    move(prefix, prefix .. 'task:' .. id .. '@' .. ARGV[1], known[2], 'SENT', 'QUEUED')
    redis.call('LPUSH', agent .. ((known[2] == '' or known[3] == 'control') and ':control' or ':queue'), id)
  end
end

local answer = { 'OK', damaged }
local bytes = tonumber(ARGV[6])
local sent = 0
local function take(list, most)
  for _ = 1, most + 100 do
    if most <= 0 or bytes <= 0 then
      return
    end
    local id = redis.call('LPOP', list)
    if not id then
      return
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
end
take(agent .. ':control', 100)
take(agent .. ':queue', tonumber(ARGV[3]))
return answer
