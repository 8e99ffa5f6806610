-- DROP_COMPANY: remove an empty company with its grids, users and tokens; the rest of its keys goes later.
-- KEYS: company, prefix, installation, names, companies, gone. ARGV: id, version as it was read.
-- Answers OK, GONE, CHANGED, DEFAULT (it is the installation's own) or BUSY (it has agents or open tasks).
local known = read(KEYS[1], 'name', 'version')
if not known[1] then
  return 'GONE'
end
if (known[2] or '') ~= ARGV[2] then
  return 'CHANGED'
end
if redis.call('HGET', KEYS[3], 'company') == ARGV[1] then
  return 'DEFAULT'
end
local open = redis.pcall('GET', KEYS[2] .. 'open')
if redis.call('ZCARD', KEYS[2] .. 'agents') > 0 or (tonumber(type(open) == 'string' and open or '') or 0) > 0 then
  return 'BUSY'
end
redis.call('SREM', KEYS[5], ARGV[1])
redis.call('SADD', KEYS[6], ARGV[1])
if redis.call('HGET', KEYS[4], known[1]) == ARGV[1] then
  redis.call('HDEL', KEYS[4], known[1])
end
for kind, name in pairs({ dpl = 'token', dpj = 'join' }) do
  for _, kid in ipairs(redis.call('ZRANGE', KEYS[2] .. 'tokens:' .. kind, 0, -1)) do
    redis.call('UNLINK', 'dpl:' .. name .. ':' .. kid)
  end
end
for _, user in ipairs(redis.call('ZRANGE', KEYS[2] .. 'users', 0, -1)) do
  redis.call('UNLINK', KEYS[2] .. 'user:' .. user)
end
for _, gid in ipairs(redis.call('SMEMBERS', KEYS[1] .. ':grids')) do
  redis.call('UNLINK', 'dpl:grid:' .. gid)
end
redis.call('UNLINK', KEYS[1], KEYS[1] .. ':grids')
return 'OK'
