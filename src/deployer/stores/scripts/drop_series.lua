-- DROP SERIES: series of a company that nothing has come from since a day.
-- KEYS: hash of series. ARGV: that day, then names. Answers the names that went.
local day, gone = tonumber(ARGV[1]), {}
sound(KEYS[1], 'hash')
sound(KEYS[1] .. ':version', 'string')
for i = 2, #ARGV do
  local had = redis.call('HGET', KEYS[1], ARGV[i])
  if had and (tonumber(string.match(had, ':(%d+)$') or '') or 0) < day then
    redis.call('HDEL', KEYS[1], ARGV[i])
    gone[#gone + 1] = ARGV[i]
  end
end
if #gone > 0 and not counted('INCR', KEYS[1] .. ':version') then
  redis.call('SET', KEYS[1] .. ':version', int(now_ms()))
end
return gone
