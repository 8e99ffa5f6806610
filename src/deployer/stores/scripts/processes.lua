-- PROCESSES: what runs on an agent, in the place of what was said before.
-- KEYS: agent, company prefix, its processes. ARGV: gid:nid, epoch, touch ms, seconds that it stays, the list.
-- Answers OK or STALE.
local agent, prefix = KEYS[1], KEYS[2]
if read(agent, 'epoch')[1] ~= ARGV[2] then
  return 'STALE'
end
redis.call('SET', KEYS[3], ARGV[5], 'EX', ARGV[4])
touch(agent, ARGV[1], prefix, tonumber(ARGV[3]), now_ms())
return 'OK'
