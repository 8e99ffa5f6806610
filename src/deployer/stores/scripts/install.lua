-- INSTALL: the first start makes company, grid, admin and join token together, or finds an installation.
-- KEYS: installation, company, grid, admin token, join token.
-- ARGV: created ms, company id, company name, public key, admin token's sha, admin's id, join token's sha, join expires ms.
-- Answers OK or EXISTS.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 'EXISTS'
end
redis.call('HSET', KEYS[2], 'name', ARGV[3], 'created', ARGV[1])
redis.call('HSET', KEYS[3], 'company', ARGV[2])
redis.call('SADD', KEYS[2] .. ':grids', '1')
redis.call('HSET', KEYS[4], 'sha', ARGV[5], 'company', ARGV[2], 'user', ARGV[6], 'role', 'admin',
  'name', 'first start', 'created', ARGV[1])
redis.call('HSET', KEYS[5], 'sha', ARGV[7], 'company', ARGV[2], 'gid', '1', 'uses', '-1', 'expires', ARGV[8],
  'name', 'first start', 'created', ARGV[1])
redis.call('ZADD', 'dpl:c:' .. ARGV[2] .. ':tokens:dpl', ARGV[1], string.match(KEYS[4], '[^:]+$'))
redis.call('ZADD', 'dpl:c:' .. ARGV[2] .. ':tokens:dpj', ARGV[1], string.match(KEYS[5], '[^:]+$'))
redis.call('SADD', 'dpl:companies', ARGV[2])
redis.call('HSET', KEYS[1], 'company', ARGV[2], 'public_key', ARGV[4], 'created', ARGV[1], 'schema', '1')
return 'OK'
