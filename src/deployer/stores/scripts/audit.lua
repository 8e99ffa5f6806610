-- AUDIT: entries behind the last one, if it still is the last one: the hash of each follows from the one before it.
-- KEYS: stream, head. ARGV: head as it should be ('' for none), head as it then is, then text and hash of each entry.
-- Answers {OK} or {MOVED, head}.
sound(KEYS[1], 'stream')
sound(KEYS[2], 'string')
local head = redis.call('GET', KEYS[2]) or ''
if head ~= ARGV[1] then
  return { 'MOVED', head }
end
for i = 3, #ARGV, 2 do
  redis.call('XADD', KEYS[1], '*', 'e', ARGV[i], 'h', ARGV[i + 1])
end
redis.call('SET', KEYS[2], ARGV[2])
return { 'OK' }
