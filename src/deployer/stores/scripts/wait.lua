-- WAIT: an agent without a token asks to be let in; one whose key is known is found.
-- KEYS: its request, index of the company's, keys of agents. ARGV: now ms (masters' clock), public key, gid or '', nid or '',
-- fingerprint, most requests (0: nobody may wait), ms that one is kept, then fields and values of the request.
-- Answers {OK, gid, nid, company}, {WAITING}, {REJECTED}, {FULL}, {CLOSED}, {REVOKED} or {TAKEN}.
local known = redis.call('HGET', KEYS[3], ARGV[2])
if known then
  local gid, nid = string.match(known, '^(%d+):(%d+)$')
  local agent = read('dpl:agent:' .. known, 'company', 'revoked')
  if agent[2] then
    return { 'REVOKED' }
  end
  if not agent[1] or (ARGV[3] ~= '' and ARGV[3] ~= gid) or (ARGV[4] ~= '' and ARGV[4] ~= nid) then
    return { 'TAKEN' }
  end
  return { 'OK', gid, nid, agent[1] }
end
if ARGV[6] == '0' then
  return { 'CLOSED' }
end
sound(KEYS[1], 'hash')
sound(KEYS[2], 'zset')
if redis.call('HEXISTS', KEYS[1], 'rejected') == 1 then
  return { 'REJECTED' }
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', int(tonumber(ARGV[1]) - tonumber(ARGV[7])))
if not redis.call('ZSCORE', KEYS[2], ARGV[5]) and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[6]) then
  return { 'FULL' }
end
redis.call('HSETNX', KEYS[1], 'first', ARGV[1])
redis.call('HSET', KEYS[1], 'last', ARGV[1], 'public_key', ARGV[2], unpack(ARGV, 8))
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('ZADD', KEYS[2], ARGV[1], ARGV[5])
return { 'WAITING' }
