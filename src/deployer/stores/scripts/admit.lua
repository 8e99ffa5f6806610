-- ADMIT: let an agent in that waits.
-- KEYS: its request, index of the company's. ARGV: now ms (masters' clock), fingerprint, company, gid or '' (the wanted one,
-- else the first of the company), nid or '' (the wanted one, else the grid's next).
-- Answers {OK, gid, nid}, {UNKNOWN}, {NO_GRID} or {TAKEN}.
local known = read(KEYS[1], 'public_key', 'hostname', 'gid', 'nid')
if not known[1] then
  return { 'UNKNOWN' }
end
local gid, nid = ARGV[4], ARGV[5]
if gid == '' then
  gid = known[3] or ''
end
if nid == '' then
  nid = known[4] or ''
end
if gid == '' or redis.call('HGET', 'dpl:grid:' .. gid, 'company') ~= ARGV[3] then
  return { 'NO_GRID' }
end
if redis.call('HEXISTS', 'dpl:keys', known[1]) == 1 then
  return { 'TAKEN' }
end
if nid ~= '' and redis.call('EXISTS', 'dpl:agent:' .. gid .. ':' .. nid) == 1 then
  return { 'TAKEN' }
end
nid = enrol(ARGV[3], gid, nid, known[1], known[2] or '', ARGV[1])
redis.call('UNLINK', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
return { 'OK', gid, nid }
