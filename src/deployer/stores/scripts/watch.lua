-- WATCH: thresholds of a monitor are broken, or are not any more.
-- KEYS: company prefix. ARGV: id, version, then for each: number, 1 or 0, the value, ms after which it is to be told.
-- Answers how many have changed.
local prefix, id = KEYS[1], ARGV[1]
local key = prefix .. 'monitor:' .. id
if read(key, 'version')[1] ~= ARGV[2] then
  return 0
end
local now, changed = now_ms(), 0
for i = 3, #ARGV, 4 do
  local n = ARGV[i]
  local member = prefix .. '|' .. id .. '|' .. n
  local known = redis.call('HMGET', key, 'since:' .. n, 'told:' .. n)
  if ARGV[i + 1] == '1' then
    if not known[1] then
      redis.call('HSET', key, 'since:' .. n, int(now), 'value:' .. n, ARGV[i + 2])
      known[1], changed = int(now), changed + 1
    end
    if not known[2] then
      redis.call('ZADD', 'dpl:breaches', 'NX', int((tonumber(known[1]) or now) + tonumber(ARGV[i + 3])), member)
    end
  elseif known[1] then
    redis.call('HDEL', key, 'since:' .. n, 'told:' .. n, 'value:' .. n)
    redis.call('ZREM', 'dpl:breaches', member)
    changed = changed + 1
    if known[2] then
      event(prefix, 'monitor.cleared', id .. '/' .. n, 'ok')
    end
  end
end
return changed
