-- JOIN: a token and a new public key make an agent; the same two again find it.
-- KEYS: join token, keys of agents. ARGV: now ms (masters' clock), public key, gid or '', nid or '', hostname.
-- Answers {OK, gid, nid, company}, or {EXPIRED}, {WRONG_GRID}, {USED}, {TAKEN}.
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
  return { 'OK', gid, mine, company }
end
if token[3] == '0' then
  return { 'USED' }
end
local nid = ARGV[4]
if nid ~= '' then
  if redis.call('EXISTS', 'dpl:agent:' .. gid .. ':' .. nid) == 1 then
    return { 'TAKEN' }
  end
else
  repeat
    nid = int(redis.call('HINCRBY', 'dpl:grid:' .. gid, 'next', 1))
  until redis.call('EXISTS', 'dpl:agent:' .. gid .. ':' .. nid) == 0
end
if tonumber(token[3]) > 0 then
  redis.call('HINCRBY', KEYS[1], 'uses', -1)
end
local id = gid .. ':' .. nid
local prefix = 'dpl:c:' .. company .. ':'
redis.call('HSET', KEYS[2], ARGV[2], id)
redis.call('ZADD', prefix .. 'agents', 0, string.format('%010d:%010d', tonumber(gid), tonumber(nid)))
redis.call('HSET', 'dpl:agent:' .. id, 'company', company, 'prefix', prefix, 'public_key', ARGV[2], 'hostname', ARGV[5],
  'state', 'offline', 'joined', ARGV[1])
event(prefix, 'agent.joined', id, 'offline')
return { 'OK', gid, nid, company }
