-- ACCEPT: the agent has these in its journal; from now on only this instance can finish them. Idempotent.
-- KEYS: agent, company prefix. ARGV: gid:nid, epoch, instance, touch ms, ids…
-- Answers {OK, verdict, …, ids of damaged tasks if there are any} or {STALE}.
local agent, prefix = KEYS[1], KEYS[2]
if read(agent, 'epoch')[1] ~= ARGV[2] then
  return { 'STALE' }
end
must_take_writes()
local now = now_ms()
touch(agent, ARGV[1], prefix, tonumber(ARGV[4]), now)
local answer, damaged = { 'OK' }, {}
for i = 5, #ARGV do
  local id = ARGV[i]
  local task = prefix .. 'task:' .. id .. '@' .. ARGV[1]
  local known = sound_task(prefix, id .. '@' .. ARGV[1], now, damaged, 'by')
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
    if known[2] ~= '' then
      if redis.pcall('HSETNX', prefix .. 'job:' .. known[2], 'begun', int(now)) == 1 then
        event(prefix, 'job.state', known[2], 'RUNNING')
      end
      event(prefix, 'task.state', id .. '@' .. ARGV[1], 'RUNNING')
    end
    redis.pcall('ZADD', agent .. ':running', int(now), id .. '@' .. ARGV[1])
    redis.call('ZREM', 'dpl:deadlines', prefix .. '|' .. id .. '@' .. ARGV[1])
  end
  redis.pcall('ZREM', agent .. ':inflight', id)
  table.insert(answer, verdict)
end
if #damaged > 0 then
  table.insert(answer, damaged)
end
return answer
