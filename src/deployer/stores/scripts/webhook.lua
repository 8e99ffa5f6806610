-- WEBHOOK: a new webhook, another one in the place of a version, or none any more.
-- KEYS: company prefix, webhooks that are due. ARGV: id, version that was read (empty: it is new), new version (empty: it goes), document,
-- secret (empty: as it is), whether it is paused (1), place in the events where a new one begins, most of a company.
-- Answers OK, GONE, CHANGED, FULL.
local prefix, id = KEYS[1], ARGV[1]
local key, index, member = prefix .. 'webhook:' .. id, prefix .. 'webhooks', prefix .. '|' .. id
sound(key, 'hash')
sound(index, 'zset')
if ARGV[2] == '' then
  if redis.call('ZCARD', index) >= tonumber(ARGV[8]) then
    return 'FULL'
  end
  redis.call('HSET', key, 'cursor', ARGV[7])
else
  local version = read(key, 'version')[1]
  if version ~= ARGV[2] then
    return version and 'CHANGED' or 'GONE'
  end
end
redis.call('ZREM', KEYS[2], member)
if ARGV[3] == '' then
  redis.call('UNLINK', key, key .. ':deliveries')
  redis.call('ZREM', index, id)
  return 'OK'
end
redis.call('HSET', key, 'version', ARGV[3], 'doc', ARGV[4], 'paused', ARGV[6])
redis.call('HDEL', key, 'failures', 'since', 'gone')
if ARGV[5] ~= '' then
  redis.call('HSET', key, 'secret', ARGV[5])
end
redis.call('ZADD', index, 0, id)
if ARGV[6] ~= '1' then
  redis.call('ZADD', KEYS[2], 0, member)
end
return 'OK'
