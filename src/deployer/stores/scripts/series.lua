-- SERIES: series of a company from which numbers have come: known ones are seen, new ones kept while there is room.
-- KEYS: hash of series. ARGV: most series, day, then for each: name, how its values are merged.
-- Answers {version, 1-based indexes of those that found no room...}. The version changes when there are new ones.
local HOWS = { sum = true, average = true, min = true, max = true, last = true }
local most, day, fresh = tonumber(ARGV[1]), ARGV[2], 0
local version = KEYS[1] .. ':version'
sound(KEYS[1], 'hash')
sound(version, 'string')
local count, refused = redis.call('HLEN', KEYS[1]), {}
for i = 3, #ARGV, 2 do
  local had = redis.call('HGET', KEYS[1], ARGV[i])
  if had then
    local how = string.match(had, '^(%a+):%d+$')
    redis.call('HSET', KEYS[1], ARGV[i], (HOWS[how or ''] and how or ARGV[i + 1]) .. ':' .. day)
  elseif count < most then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ':' .. day)
    count, fresh = count + 1, fresh + 1
  else
    refused[#refused + 1] = (i - 1) / 2
  end
end
local at
if fresh > 0 then
  at = counted('INCR', version)
else
  at = tonumber(redis.call('GET', version) or '0')
end
if not at then
  redis.call('SET', version, int(now_ms()))
  at = now_ms()
end
return { at, unpack(refused) }
