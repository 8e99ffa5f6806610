-- POINTS: one batch of numbers over time, stored once whatever is sent again, as LOG does for messages.
-- KEYS: agent, company prefix, stream. ARGV: gid:nid, epoch, touch ms, boot, seq, most entries, most bytes, then entries.
-- Answers {OK, acked, 1 when it was stored now, oldest entries that went for it} or {STALE}.
local agent, prefix, stream = KEYS[1], KEYS[2], KEYS[3]
local size = stream .. ':bytes'
sound(stream, 'stream')
sound(size, 'string')
if read(agent, 'epoch')[1] ~= ARGV[2] then
  return { 'STALE' }
end
touch(agent, ARGV[1], prefix, tonumber(ARGV[3]), now_ms())
local known = redis.call('HMGET', agent, 'stats_boot', 'stats_seq')
if known[1] == ARGV[4] and tonumber(ARGV[5]) <= (tonumber(known[2] or '') or 0) then
  return { 'OK', known[2], 0, 0 }
end
local added = 0
for i = 8, #ARGV do
  redis.call('XADD', stream, '*', 'agent', ARGV[1], 'f', ARGV[i])
  added = added + string.len(ARGV[i])
end
local gone = bounded(stream, added, tonumber(ARGV[6]), tonumber(ARGV[7]))
redis.call('HSET', agent, 'stats_boot', ARGV[4], 'stats_seq', ARGV[5])
return { 'OK', ARGV[5], 1, gone }
