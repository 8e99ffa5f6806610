-- TAKE: schedules with slots that wait, for one master for a while; then another one may take them.
-- KEYS: all that have such. ARGV: owner, ms of the lease, how many at most, and the one that is wanted (empty: any).
-- Answers those that are taken, as <prefix>|<id>.
local now = now_ms()
sound(KEYS[1], 'zset')
local found
if ARGV[4] == '' then
  found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(now), 'LIMIT', 0, ARGV[3])
else
  local free = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[4]) or '0')
  found = free <= now and { ARGV[4] } or {}
end
local taken = {}
for _, member in ipairs(found) do
  local prefix, id = string.match(member, '^(dpl:c:[^|]+:)|([^|]+)$')
  local key = prefix and prefix .. 'schedule:' .. id
  if key and read(key, 'version')[1] then
    redis.call('HSET', key, 'owner', ARGV[1])
    redis.call('ZADD', KEYS[1], int(now + tonumber(ARGV[2])), member)
    table.insert(taken, member)
  else
    redis.call('ZREM', KEYS[1], member)
  end
end
return taken
