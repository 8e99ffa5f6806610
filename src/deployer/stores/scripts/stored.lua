-- STORED: entries of a company's points are in the metric store now. KEYS: stream. ARGV: ids.
local stream, size = KEYS[1], 0
sound(stream, 'stream')
sound(stream .. ':bytes', 'string')
for _, id in ipairs(ARGV) do
  local entry = redis.call('XRANGE', stream, id, id)[1]
  if entry then
    size = size + string.len(entry[2][#entry[2]])
    redis.call('XDEL', stream, id)
  end
end
local bytes = tonumber(redis.call('GET', stream .. ':bytes') or '') or 0
if redis.call('XLEN', stream) == 0 then
  bytes = size
end
redis.call('SET', stream .. ':bytes', int(math.max(0, bytes - size)))
return 'OK'
