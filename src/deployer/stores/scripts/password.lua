-- PASSWORD: keep another password of a user.
-- KEYS: user. ARGV: the user's id, hash, seal, version. Answers OK or GONE.
if read(KEYS[1], 'id')[1] ~= ARGV[1] then
  return 'GONE'
end
redis.call('HSET', KEYS[1], 'password', ARGV[2], 'seal', ARGV[3], 'version', ARGV[4])
return 'OK'
