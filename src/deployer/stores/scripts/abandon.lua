-- ABANDON: what a revoked agent has not done ends: what it has not accepted was never started, of the rest nobody will
-- ever know. At most 100 tasks a call.
-- KEYS: revoked agents, agent. ARGV: gid:nid, result for what was not started, result for what may run.
-- Answers how many tasks were looked at; 0: that was all.
local agent = KEYS[2]
local prefix = read(agent, 'prefix')[1]
local now, looked = now_ms(), 0

local function leave(id, result)
  looked = looked + 1
  local name = id .. '@' .. ARGV[1]
  local known = sound_task(prefix, name, now, {})
  if known[1] and not FINAL[known[1]] then
    finish(prefix, name, known[2], known[1], 'ERROR', result, now)
  end
end

if prefix then
  for _, list in ipairs({ ':queue', ':control' }) do
    sound(agent .. list, 'list')
    while looked < 100 do
      local id = redis.call('LPOP', agent .. list)
      if not id then
        break
      end
      leave(id, ARGV[2])
    end
  end
  for _, name in ipairs({ ':ranked', ':inflight' }) do
    sound(agent .. name, 'zset')
  end
  for _, id in ipairs(looked < 100 and redis.call('ZRANGE', agent .. ':ranked', 0, 99 - looked) or {}) do
    redis.call('ZREM', agent .. ':ranked', id)
    leave(id, ARGV[2])
  end
  for _, id in ipairs(looked < 100 and redis.call('ZRANGE', agent .. ':inflight', 0, 99 - looked) or {}) do
    redis.call('ZREM', agent .. ':inflight', id)
    leave(id, ARGV[2])
  end
  sound(agent .. ':running', 'zset')
  for _, id in ipairs(looked < 100 and redis.call('ZRANGE', agent .. ':running', 0, 99 - looked) or {}) do
    redis.call('ZREM', agent .. ':running', id)
    leave(string.match(id, '^(.*)@[^@]*$') or id, ARGV[3])
  end
end
if looked == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return looked
