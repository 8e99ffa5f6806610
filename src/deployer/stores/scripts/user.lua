-- USER: make or change a user.
-- KEYS: company prefix, company. ARGV: name, version as it was read ('' for a new user, '*' for either), new version,
-- '1' when the user can manage the company, most users, then fields and values.
-- Answers OK, NO_COMPANY, EXISTS, FULL, GONE, CHANGED or LAST (nobody could manage the company any more).
local user, owners = KEYS[1] .. 'user:' .. ARGV[1], KEYS[1] .. 'owners'
local known = redis.call('HGET', user, 'version')
if ARGV[2] == '' then
  if known then
    return 'EXISTS'
  end
  if redis.call('EXISTS', KEYS[2]) == 0 then
    return 'NO_COMPANY'
  end
  if redis.call('ZCARD', KEYS[1] .. 'users') >= tonumber(ARGV[5]) then
    return 'FULL'
  end
elseif ARGV[2] ~= '*' then
  if not known then
    return 'GONE'
  end
  if known ~= ARGV[2] then
    return 'CHANGED'
  end
end
if ARGV[4] ~= '1' and redis.call('SISMEMBER', owners, ARGV[1]) == 1 and redis.call('SCARD', owners) == 1 then
  return 'LAST'
end
redis.call('HSET', user, 'version', ARGV[3], unpack(ARGV, 6))
redis.call('ZADD', KEYS[1] .. 'users', 0, ARGV[1])
redis.call(ARGV[4] == '1' and 'SADD' or 'SREM', owners, ARGV[1])
return 'OK'
