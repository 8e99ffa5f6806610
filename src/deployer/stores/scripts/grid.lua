-- GRID: one more grid for a company.
-- KEYS: company, grids. ARGV: company id, gid or '' for the next that is free, most grids.
-- Answers {OK, gid}, {GONE}, {TAKEN} or {FULL}.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return { 'GONE' }
end
if redis.call('SCARD', KEYS[1] .. ':grids') >= tonumber(ARGV[3]) then
  return { 'FULL' }
end
local gid = ARGV[2]
if gid ~= '' then
  if redis.call('EXISTS', 'dpl:grid:' .. gid) == 1 then
    return { 'TAKEN' }
  end
else
  repeat
    gid = int(redis.call('INCR', KEYS[2]))
  until redis.call('EXISTS', 'dpl:grid:' .. gid) == 0
end
redis.call('HSET', 'dpl:grid:' .. gid, 'company', ARGV[1])
redis.call('SADD', KEYS[1] .. ':grids', gid)
return { 'OK', gid }
