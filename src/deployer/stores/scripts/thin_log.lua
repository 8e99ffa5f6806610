-- THIN LOG: the oldest entries of a tier of a stream go, or move on to an older tier with fewer messages.
-- KEYS: company prefix, stream, that tier, the older tier. ARGV: number of the tier, number of the older one, then for each
-- entry: id, messages that stay (empty: none), their first places, how many messages are left out.
-- Answers the bytes that went. Of what another master has moved nothing is left to do.
local prefix, stream, from, to = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local kept = ARGV[2] == '5' and prefix .. 'logs:kept' or prefix .. 'logs'
local had = ARGV[1] == '5' and prefix .. 'logs:kept' or prefix .. 'logs'
local kind = redis.call('TYPE', from)['ok']
if kind ~= 'stream' then -- gone, or somebody else's: its name is public
  redis.call('ZREM', prefix .. 'logs:first:' .. ARGV[1], stream)
  if ARGV[1] == '0' then
    redis.call('ZREM', prefix .. 'logs', stream)
  end
  return 0
end
sound(to, 'stream')
local gone, left = 0, 0
for i = 3, #ARGV, 4 do
  local entry = redis.call('XRANGE', from, ARGV[i], ARGV[i])[1]
  if entry then
    local size = string.len(entry[2][2])
    redis.call('XDEL', from, ARGV[i])
    redis.call('ZINCRBY', had, -size, stream)
    left, gone = left + tonumber(ARGV[i + 3]), gone + size
    if ARGV[i + 1] ~= '' then
      local moved = redis.pcall('XADD', to, ARGV[i], 'm', ARGV[i + 1], 'i', ARGV[i + 2])
      if type(moved) == 'string' then
        redis.call('ZINCRBY', kept, string.len(ARGV[i + 1]), stream)
        redis.call('ZADD', prefix .. 'logs:first:' .. ARGV[2], 'NX', string.match(ARGV[i], '^%d+'), stream)
        gone = gone - string.len(ARGV[i + 1])
      end
    end
  end
end
counted('DECRBY', prefix .. 'logs:total', gone)
if left > 0 then
  count(prefix .. 'logs:left', stream, left)
end
local first = redis.call('XRANGE', from, '-', '+', 'COUNT', 1)[1]
if first then
  redis.call('ZADD', prefix .. 'logs:first:' .. ARGV[1], string.match(first[1], '^%d+'), stream)
else
  redis.call('ZREM', prefix .. 'logs:first:' .. ARGV[1], stream)
  if from ~= stream then
    redis.call('UNLINK', from)
  end
end
for _, index in ipairs({ 'logs', 'logs:kept' }) do
  if (tonumber(redis.call('ZSCORE', prefix .. index, stream) or '') or 0) <= 0 then
    redis.call('ZREM', prefix .. index, stream)
  end
end
if not redis.call('ZSCORE', prefix .. 'logs', stream) and not redis.call('ZSCORE', prefix .. 'logs:kept', stream) then
  redis.call('ZREM', prefix .. 'logs:at', stream)
  redis.call('HDEL', prefix .. 'logs:left', stream)
  if not first then
    redis.call('UNLINK', stream)
  end
end
return gone
