-- COMPANY: make a company.
-- KEYS: company, names, companies. ARGV: id, name, created ms, version, most companies.
-- Answers OK, TAKEN (another has this name) or FULL.
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then
  return 'TAKEN'
end
if redis.call('SCARD', KEYS[3]) >= tonumber(ARGV[5]) then
  return 'FULL'
end
redis.call('HSET', KEYS[1], 'name', ARGV[2], 'created', ARGV[3], 'version', ARGV[4])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[1])
return 'OK'
