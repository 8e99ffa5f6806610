-- SESSION: the newest session of an agent is the only one; its epoch fences all others (I5).
-- KEYS: agent, new session. ARGV: gid:nid, instance, digest, seconds valid, ms that another instance counts as alive,
-- version, hostname, extensions (a JSON list of names), what it declares (JSON), when the living instance was asked ('' : not yet; left out: do not
-- ask), ms of a takeover's window, takeovers in one.
-- Answers {OK, epoch}, or {UNKNOWN}, {REVOKED}, {OTHER_INSTANCE}, {ASKED, now}, {QUARANTINED}. After ASKED the caller waits
-- for the instance that has the session to show that it lives (CLAIM), and comes again with the time (RELIABILITY 2.6 g).
local agent = KEYS[1]
local now = now_ms()
local known = read(agent, 'prefix', 'instance', 'last_seen', 'session', 'revoked', 'company', 'answered', 'quarantined',
  'takeovers', 'takeovers_since', 'rival_at')
local prefix = known[1]
if not prefix then
  return { 'UNKNOWN' }
end
if known[5] then
  return { 'REVOKED' }
end
local function number(place)
  return tonumber(known[place] or '') or 0
end

-- Whoever looks at the agent sees that there is another instance, and what became of it.
local function tell(outcome)
  redis.call('HSET', agent, 'rival', ARGV[2], 'rival_host', ARGV[7], 'rival_at', int(now), 'rival_outcome', outcome)
  if now - number(11) > 60000 then
    event(prefix, 'agent.duplicate', ARGV[1], outcome)
  end
end

-- Another instance wants the session: the answer that it gets, nothing when it may take over.
local function refusal()
  local seems_alive = now - number(3) < tonumber(ARGV[5])
  if not ARGV[10] then
    return seems_alive and { 'OTHER_INSTANCE' } or nil
  end
  if now < number(8) then
    tell('quarantined')
    return { 'QUARANTINED' }
  end
  if seems_alive and ARGV[10] == '' then
    redis.call('HSET', agent, 'asked', int(now))
    redis.call('HDEL', agent, 'polled')
    redis.call('PUBLISH', 'dpl:wake', ARGV[1])
    return { 'ASKED', int(now) }
  end
  if seems_alive and math.max(number(3), number(7)) >= tonumber(ARGV[10]) then
    tell('refused')
    return { 'OTHER_INSTANCE' }
  end
  local since, times = number(10), number(9) + 1
  if now - since > tonumber(ARGV[11]) then
    since, times = now, 1
  end
  if times > tonumber(ARGV[12]) then
    redis.call('HSET', agent, 'quarantined', int(now + tonumber(ARGV[11])))
    tell('quarantined')
    return { 'QUARANTINED' }
  end
  redis.call('HSET', agent, 'takeovers', times, 'takeovers_since', int(since))
  redis.call('HDEL', agent, 'asked', 'polled')
  tell('took over')
end

if known[2] and known[2] ~= ARGV[2] then
  local refused = refusal()
  if refused then
    return refused
  end
end
local epoch = counted('HINCRBY', agent, 'epoch', 1)
if not epoch then -- nothing fences its sessions any more
  return { 'UNKNOWN' }
end
epoch = int(epoch)
sound(agent .. ':inflight', 'zset')
if known[4] then
  redis.call('DEL', 'dpl:session:' .. known[4])
end
redis.call('HSET', agent, 'instance', ARGV[2], 'session', ARGV[3], 'version', ARGV[6], 'extensions', ARGV[8], 'declared', ARGV[9] or '{}')
if ARGV[7] ~= '' then
  redis.call('HSET', agent, 'hostname', ARGV[7])
end
redis.call('HSET', KEYS[2], 'agent', ARGV[1], 'epoch', epoch, 'instance', ARGV[2], 'company', known[6])
redis.call('EXPIRE', KEYS[2], ARGV[4])
-- what an earlier session was sent and did not accept is due again at once, in its order
for place, id in ipairs(redis.call('ZRANGE', agent .. ':inflight', 0, 99)) do
  redis.call('ZADD', agent .. ':inflight', 'XX', place, id)
end
touch(agent, ARGV[1], prefix, 0, now)
return { 'OK', epoch }
