-- EXPIRE: tasks that were not started by their `not_after` end with code EXPIRED. At most 100 a call.
-- KEYS: deadlines. ARGV: result, now ms (the clock that made `not_after`, not Redis').
-- Answers how many were looked at, and ids of damaged tasks.
sound(KEYS[1], 'zset')
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, 100)
local now = now_ms()
local damaged = {}
for _, member in ipairs(due) do
  local prefix, id = string.match(member, '^([^|]*)|(.*)$')
  local known = id and sound_task(prefix, id, now, damaged) or {}
  if known[1] == 'QUEUED' or known[1] == 'SENT' or known[1] == 'BLOCKED' then
    finish(prefix, id, known[2], known[1], 'ERROR', ARGV[1], now)
  else
    redis.call('ZREM', KEYS[1], member)
  end
end
return { #due, damaged }
