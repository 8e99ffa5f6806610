-- RENAME_COMPANY: give a company another name.
-- KEYS: company, names. ARGV: id, name, version as it was read, new version.
-- Answers OK, GONE, CHANGED or TAKEN (another has this name).
local known = read(KEYS[1], 'name', 'version')
if not known[1] then
  return 'GONE'
end
if (known[2] or '') ~= ARGV[3] then
  return 'CHANGED'
end
local holder = redis.call('HGET', KEYS[2], ARGV[2])
if holder and holder ~= ARGV[1] then
  return 'TAKEN'
end
if redis.call('HGET', KEYS[2], known[1]) == ARGV[1] then
  redis.call('HDEL', KEYS[2], known[1])
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[1], 'name', ARGV[2], 'version', ARGV[4])
return 'OK'
