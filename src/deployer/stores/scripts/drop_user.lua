-- DROP_USER: remove a user with its tokens and sessions.
-- KEYS: company prefix. ARGV: name, version as it was read. Answers OK, GONE, CHANGED or LAST.
local user, owners = KEYS[1] .. 'user:' .. ARGV[1], KEYS[1] .. 'owners'
local known = redis.call('HGET', user, 'version')
if not known then
  return 'GONE'
end
if known ~= ARGV[2] then
  return 'CHANGED'
end
if redis.call('SISMEMBER', owners, ARGV[1]) == 1 and redis.call('SCARD', owners) == 1 then
  return 'LAST'
end
redis.call('UNLINK', user)
redis.call('ZREM', KEYS[1] .. 'users', ARGV[1])
redis.call('SREM', owners, ARGV[1])
local tokens = KEYS[1] .. 'tokens:dpl'
for _, kid in ipairs(redis.call('ZRANGE', tokens, 0, -1)) do
  if redis.call('HGET', 'dpl:token:' .. kid, 'user') == ARGV[1] then
    redis.call('UNLINK', 'dpl:token:' .. kid)
    redis.call('ZREM', tokens, kid)
  end
end
local logins = KEYS[1] .. 'logins:' .. ARGV[1]
for _, digest in ipairs(redis.call('ZRANGE', logins, 0, -1)) do
  redis.call('UNLINK', 'dpl:login:' .. digest)
end
redis.call('UNLINK', logins)
return 'OK'
