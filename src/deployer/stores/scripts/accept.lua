-- ACCEPT: the agent has these in its journal; from now on only this instance can finish them. Idempotent.
-- KEYS: agent, company prefix. ARGV: gid:nid, epoch, instance, touch ms, ids…
-- Answers {OK, verdict, …} or {STALE}.
local agent, prefix = KEYS[1], KEYS[2]
if redis.call('HGET', agent, 'epoch') ~= ARGV[2] then
  return { 'STALE' }
end
local now = now_ms()
touch(agent, ARGV[1], prefix, tonumber(ARGV[4]), now)
local answer = { 'OK' }
for i = 5, #ARGV do
  local id = ARGV[i]
  local task = prefix .. 'task:' .. id .. '@' .. ARGV[1]
  local known = redis.call('HMGET', task, 'state', 'job', 'by')
  local state, by = known[1], known[3]
  local verdict = 'START'
  if not state then
    verdict = 'UNKNOWN'
  elseif FINAL[state] then
    verdict = by == ARGV[3] and 'DONE' or 'CANCELLED'
  elseif state == 'RUNNING' then
    verdict = by == ARGV[3] and 'START' or 'CONFLICT'
  else
    redis.call('HSET', task, 'by', ARGV[3], 'accepted', int(now))
    move(prefix, task, known[2], state, 'RUNNING')
    redis.call('ZREM', 'dpl:deadlines', prefix .. '|' .. id .. '@' .. ARGV[1])
  end
  redis.call('ZREM', agent .. ':inflight', id)
  table.insert(answer, verdict)
end
return answer
