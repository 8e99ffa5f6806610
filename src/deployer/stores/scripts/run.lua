-- RUN: records of finished runs of tasks that go on, each kept once, the last of a task only.
-- KEYS: agent, company prefix. ARGV: gid:nid, epoch, instance, touch ms, most that stay, then for each: id, run, record.
-- Answers {OK, receipt, …} or {STALE}.
local function had(runs, number)
  return redis.call('ZRANGEBYSCORE', runs, number, number, 'LIMIT', 0, 1)[1]
end

local agent, prefix = KEYS[1], KEYS[2]
if read(agent, 'epoch')[1] ~= ARGV[2] then
  return { 'STALE' }
end
must_take_writes()
touch(agent, ARGV[1], prefix, tonumber(ARGV[4]), now_ms())
local answer = { 'OK' }
for i = 6, #ARGV, 3 do
  local task = prefix .. 'task:' .. ARGV[i] .. '@' .. ARGV[1]
  local known = read(task, 'state', 'by')
  sound(task .. ':runs', 'zset')
  local receipt = 'OK'
  if not known[1] then
    receipt = 'UNKNOWN'
  elseif known[2] ~= ARGV[3] then
    receipt = 'CONFLICT'
  elseif had(task .. ':runs', ARGV[i + 1]) then
    receipt = had(task .. ':runs', ARGV[i + 1]) == ARGV[i + 2] and 'DUP' or 'CONFLICT'
  else
    redis.call('ZADD', task .. ':runs', ARGV[i + 1], ARGV[i + 2])
    redis.call('ZREMRANGEBYRANK', task .. ':runs', 0, -1 - tonumber(ARGV[5]))
    count(task, 'runs', 1)
    reply(task, redis.call('HMGET', task, 'reply', 'head'), ARGV[i + 2])
  end
  table.insert(answer, receipt)
end
return answer
