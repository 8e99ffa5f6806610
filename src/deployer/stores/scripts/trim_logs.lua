-- TRIM LOGS: the 100 oldest entries of a company's largest log stream go while the company is over its bytes.
-- KEYS: zset of log streams by bytes, that stream. ARGV: most bytes.
-- Answers the bytes that went, 0 when nothing had to.
local total = 0
local streams = redis.call('ZREVRANGE', KEYS[1], 0, 999, 'WITHSCORES')
for i = 2, #streams, 2 do
  total = total + tonumber(streams[i])
end
if total <= tonumber(ARGV[1]) or streams[1] ~= KEYS[2] then
  return 0
end
local kind = redis.call('TYPE', KEYS[2])['ok']
if kind ~= 'stream' and kind ~= 'none' then -- somebody else's by now: its name is public
  redis.call('ZREM', KEYS[1], KEYS[2])
  redis.call('ZREM', KEYS[1] .. ':at', KEYS[2])
  return 0
end
local gone = 0
local entries = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 100)
for _, entry in ipairs(entries) do
  gone = gone + string.len(entry[2][2])
  redis.call('XDEL', KEYS[2], entry[1])
end
if #entries == 0 then
  redis.call('ZREM', KEYS[1], KEYS[2])
  redis.call('ZREM', KEYS[1] .. ':at', KEYS[2])
else
  redis.call('ZINCRBY', KEYS[1], -gone, KEYS[2])
end
return gone
