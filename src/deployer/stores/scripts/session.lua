-- SESSION: the newest session of an agent is the only one; its epoch fences all others (I5).
-- KEYS: agent, new session. ARGV: gid:nid, instance, digest, seconds valid, ms that another instance counts as alive,
-- version, hostname, extensions (a JSON list of names).
-- Answers {OK, epoch}, or {UNKNOWN}, {REVOKED}, {OTHER_INSTANCE}.
local agent = KEYS[1]
local now = now_ms()
local known = read(agent, 'prefix', 'instance', 'last_seen', 'session', 'revoked', 'company')
local prefix = known[1]
if not prefix then
  return { 'UNKNOWN' }
end
if known[5] then
  return { 'REVOKED' }
end
if known[2] and known[2] ~= ARGV[2] and now - (tonumber(known[3] or '') or 0) < tonumber(ARGV[5]) then
  return { 'OTHER_INSTANCE' }
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
redis.call('HSET', agent, 'instance', ARGV[2], 'session', ARGV[3], 'version', ARGV[6], 'extensions', ARGV[8])
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
