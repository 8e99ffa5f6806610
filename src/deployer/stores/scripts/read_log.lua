-- READ LOG: entries of a stream and of its older tiers, as if they were one stream.
-- KEYS: stream. ARGV: first id, last id, most entries, `asc` or `desc`. Answers entries as XRANGE does.
local wanted, found = tonumber(ARGV[3]), {}
local down = ARGV[4] == 'desc'
for at = 0, 5 do
  local tier = down and at or 5 - at
  local key = tier == 0 and KEYS[1] or KEYS[1] .. ':' .. tier
  if #found < wanted and redis.call('TYPE', key)['ok'] == 'stream' then
    local part
    if down then
      part = redis.call('XREVRANGE', key, ARGV[2], ARGV[1], 'COUNT', wanted - #found)
    else
      part = redis.call('XRANGE', key, ARGV[1], ARGV[2], 'COUNT', wanted - #found)
    end
    for _, entry in ipairs(part) do
      found[#found + 1] = entry
    end
  end
end
return found
