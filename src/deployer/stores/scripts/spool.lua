-- SPOOL: numbers of what is no agent (statsd, the master itself) on their way to the metric store.
-- KEYS: stream, company. ARGV: most entries, most bytes, then entries. Answers how many of the oldest entries went for
-- them. Of a company that is no more nothing is kept.
local stream = KEYS[1]
if redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
sound(stream, 'stream')
sound(stream .. ':bytes', 'string')
local added = 0
for i = 3, #ARGV do
  redis.call('XADD', stream, '*', 'd', ARGV[i])
  added = added + string.len(ARGV[i])
end
return bounded(stream, added, tonumber(ARGV[1]), tonumber(ARGV[2]))
