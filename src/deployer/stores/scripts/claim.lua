-- CLAIM: commands for one agent, taken from its queue and noted as in flight in one step.
-- KEYS: agent, company prefix. ARGV: gid:nid, epoch, most, lease ms, touch ms, most bytes.
-- Answers {OK, wire, …} or {STALE}. Looks at no more than 100 expired leases and 100 + most ids of each list.
local agent, prefix = KEYS[1], KEYS[2]
if redis.call('HGET', agent, 'epoch') ~= ARGV[2] then
  return { 'STALE' }
end
local now = now_ms()
touch(agent, ARGV[1], prefix, tonumber(ARGV[5]), now)
local inflight = agent .. ':inflight'

local expired = redis.call('ZRANGEBYSCORE', inflight, '-inf', int(now), 'LIMIT', 0, 100)
for i = #expired, 1, -1 do
  local id = expired[i]
  redis.call('ZREM', inflight, id)
  local task = prefix .. 'task:' .. id .. '@' .. ARGV[1]
  local known = redis.pcall('HMGET', task, 'state', 'job', 'list') -- a damaged record must not stop the others
  if known[1] == 'SENT' then
    move(prefix, task, known[2], 'SENT', 'QUEUED')
    redis.call('LPUSH', agent .. ':' .. (known[2] == '' and 'control' or known[3] or 'queue'), id)
  end
end

local answer = { 'OK' }
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
    local task = prefix .. 'task:' .. id .. '@' .. ARGV[1]
    local known = redis.pcall('HMGET', task, 'state', 'job', 'wire')
    if known[1] == 'QUEUED' and known[2] and known[3] then
      -- by thousandths of the last millisecond of the lease: what comes again comes in the order in which it was sent
      redis.call('ZADD', inflight, string.format('%.3f', now + tonumber(ARGV[4]) - 1 + sent / 1000), id)
      sent = sent + 1
      redis.call('HSET', task, 'sent', int(now))
      move(prefix, task, known[2], 'QUEUED', 'SENT')
      table.insert(answer, known[3])
      most = most - 1
      bytes = bytes - string.len(known[3])
    end
  end
end
take(agent .. ':control', 100)
take(agent .. ':queue', tonumber(ARGV[3]))
return answer
