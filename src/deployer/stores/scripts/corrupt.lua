-- CORRUPT: tasks whose command was found to be none, once it was looked at outside, end.
-- KEYS: agent, company prefix. ARGV: gid:nid, then their ids.
-- Answers how many ended.
local ended = 0
for i = 2, #ARGV do
  redis.pcall('ZREM', KEYS[1] .. ':inflight', ARGV[i])
  if spoil(KEYS[2], ARGV[i] .. '@' .. ARGV[1], now_ms()) then
    ended = ended + 1
  end
end
return ended
