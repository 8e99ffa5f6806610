-- FIRED: what became of a slot that waited is noted, by the master that has taken it and nobody else.
-- KEYS: company prefix. ARGV: id, owner, slot (empty: it was asked for), outcome, what is kept of it, job (or empty).
-- Answers 1 when it is noted now, else 0.
local key = KEYS[1] .. 'schedule:' .. ARGV[1]
if read(key, 'owner')[1] ~= ARGV[2] then
  return 0
end
if ARGV[3] ~= '' and redis.call('LREM', key .. ':waiting', 1, ARGV[3]) == 0 then
  return 0
end
sound(key .. ':firings', 'list')
redis.call('LPUSH', key .. ':firings', ARGV[5])
redis.call('LTRIM', key .. ':firings', 0, 19)
count(key, 'n:' .. ARGV[4], 1)
event(KEYS[1], 'schedule.' .. ARGV[4], ARGV[1], ARGV[6])
if ARGV[6] ~= '' then
  redis.call('HSET', key, 'job', ARGV[6])
end
return 1
