-- JOIN: a token and a new public key make an agent; the same two again find it.
-- KEYS: join token, keys of agents. ARGV: now ms (masters' clock), public key, gid or '', nid or '', hostname.
-- Answers {OK, gid, nid, company}, or {EXPIRED}, {WRONG_GRID}, {USED}, {TAKEN}, {REVOKED}.
local token = redis.call('HMGET', KEYS[1], 'company', 'gid', 'uses', 'expires')
local company, gid = token[1], token[2]
if not company or tonumber(token[4]) <= tonumber(ARGV[1]) then
  return { 'EXPIRED' }
end
if ARGV[3] ~= '' and ARGV[3] ~= gid then
  return { 'WRONG_GRID' }
end
local known = redis.call('HGET', KEYS[2], ARGV[2])
if known then
  local mine = string.match(known, '^' .. gid .. ':(%d+)$')
  if not mine or (ARGV[4] ~= '' and ARGV[4] ~= mine) then
    return { 'TAKEN' }
  end
  if redis.call('HEXISTS', 'dpl:agent:' .. known, 'revoked') == 1 then
    return { 'REVOKED' }
  end
  return { 'OK', gid, mine, company }
end
if token[3] == '0' then
  return { 'USED' }
end
if ARGV[4] ~= '' and redis.call('EXISTS', 'dpl:agent:' .. gid .. ':' .. ARGV[4]) == 1 then
  return { 'TAKEN' }
end
if tonumber(token[3]) > 0 then
  redis.call('HINCRBY', KEYS[1], 'uses', -1)
end
return { 'OK', gid, enrol(company, gid, ARGV[4], ARGV[2], ARGV[5], ARGV[1]), company }
