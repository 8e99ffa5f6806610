-- PRESENCE: agents that were not heard become overdue, then offline; each change is an event. At most 100 of each a call.
-- KEYS: seen online, seen overdue. ARGV: overdue ms, offline ms.
-- Answers how many changed.
local now = now_ms()
local changed = 0
local function step(from, silent_ms, state, to)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', from, '-inf', int(now - silent_ms), 'LIMIT', 0, 100)) do
    local agent = 'dpl:agent:' .. id
    local known = read(agent, 'prefix', 'last_seen')
    redis.call('ZREM', from, id)
    if known[1] then
      redis.call('HSET', agent, 'state', state)
      agent_is(agent, id, known[1], state, now)
      if to then
        redis.call('ZADD', to, int(tonumber(known[2] or '') or 0), id)
      end
      changed = changed + 1
    end
  end
end
step(KEYS[2], tonumber(ARGV[2]), 'offline', nil)
step(KEYS[1], tonumber(ARGV[1]), 'overdue', KEYS[2])
return changed
