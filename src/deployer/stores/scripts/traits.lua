-- TRAITS: change what is said of an agent at the master, if nobody was faster.
-- KEYS: agent. ARGV: company, version as it was read, what is said from now on (JSON).
-- Answers OK, CHANGED or UNKNOWN.
local known = read(KEYS[1], 'company', 'traits_version')
if known[1] ~= ARGV[1] then
  return 'UNKNOWN'
end
if (known[2] or '0') ~= ARGV[2] then
  return 'CHANGED'
end
redis.call('HSET', KEYS[1], 'traits', ARGV[3], 'traits_version', int(tonumber(ARGV[2]) + 1))
return 'OK'
