-- LOG HEADS: the id of the first entry of each of some streams between two ids, without what is in it.
-- KEYS: streams. ARGV: first id, last id, `asc` or `desc`. Answers an id for each, empty where there is none.
local heads = {}
for at, stream in ipairs(KEYS) do
  heads[at] = ''
  for step = 0, 5 do
    local tier = ARGV[3] == 'desc' and step or 5 - step
    local key = tier == 0 and stream or stream .. ':' .. tier
    if heads[at] == '' and redis.call('TYPE', key)['ok'] == 'stream' then
      local found
      if ARGV[3] == 'desc' then
        found = redis.call('XREVRANGE', key, ARGV[2], ARGV[1], 'COUNT', 1)
      else
        found = redis.call('XRANGE', key, ARGV[1], ARGV[2], 'COUNT', 1)
      end
      if found[1] then
        heads[at] = found[1][1]
      end
    end
  end
end
return heads
