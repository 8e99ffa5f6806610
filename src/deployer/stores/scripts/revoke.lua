-- REVOKE: an agent gets no session any more, its present one ends, its key joins nothing again.
-- KEYS: agent. ARGV: gid:nid, company, now ms (masters' clock). Answers OK or UNKNOWN.
local known = read(KEYS[1], 'company', 'prefix', 'session', 'revoked')
if known[1] ~= ARGV[2] or not known[2] then
  return 'UNKNOWN'
end
if known[3] then
  redis.call('UNLINK', 'dpl:session:' .. known[3])
end
if not counted('HINCRBY', KEYS[1], 'epoch', 1) then -- nothing that is under way gets through any more
  redis.call('HSET', KEYS[1], 'epoch', 'revoked')
end
redis.call('HDEL', KEYS[1], 'session')
redis.call('HSET', KEYS[1], 'state', 'revoked', 'revoked', known[4] or ARGV[3])
redis.call('ZREM', 'dpl:seen:online', ARGV[1])
redis.call('ZREM', 'dpl:seen:overdue', ARGV[1])
redis.call('ZADD', 'dpl:revoked', ARGV[3], ARGV[1])
redis.call('PUBLISH', 'dpl:wake', ARGV[1])
agent_is(KEYS[1], ARGV[1], known[2], 'revoked', now_ms())
return 'OK'
