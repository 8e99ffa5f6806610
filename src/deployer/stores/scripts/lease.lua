-- LEASE: one master at a time has it. KEYS: the key. ARGV: owner, for how many ms (0: it is let go).
-- Answers 1 when it is the owner's now.
sound(KEYS[1], 'string')
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then
  return 0
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
