-- SPOOL: numbers of what is no agent (statsd, the master itself) on their way to the metric store.
-- KEYS: stream. ARGV: most entries, most bytes, then entries. Answers how many of the oldest entries went for them.
local stream = KEYS[1]
sound(stream, 'stream')
sound(stream .. ':bytes', 'string')
local added = 0
for i = 3, #ARGV do
  redis.call('XADD', stream, '*', 'd', ARGV[i])
  added = added + string.len(ARGV[i])
end
return bounded(stream, added, tonumber(ARGV[1]), tonumber(ARGV[2]))
