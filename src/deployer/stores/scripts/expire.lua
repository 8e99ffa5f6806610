-- EXPIRE: tasks that were not started by their `not_after` end with code EXPIRED. At most 100 a call.
-- KEYS: deadlines. ARGV: result, now ms (the clock that made `not_after`, not Redis').
-- Answers how many were looked at.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, 100)
local now = now_ms()
for _, member in ipairs(due) do
  local bar = string.find(member, '|', 1, true)
  local prefix, id = string.sub(member, 1, bar - 1), string.sub(member, bar + 1)
  local known = redis.call('HMGET', prefix .. 'task:' .. id, 'state', 'job')
  if known[1] == 'QUEUED' or known[1] == 'SENT' or known[1] == 'BLOCKED' then
    finish(prefix, id, known[2], known[1], 'ERROR', ARGV[1], now)
  else
    redis.call('ZREM', KEYS[1], member)
  end
end
return #due
