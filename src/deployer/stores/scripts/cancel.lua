-- CANCEL: what has not started ends at once; what runs is killed by a command of its own, which is delivered like any
-- other. Idempotent.
-- KEYS: company prefix. ARGV: result for what has not started, then for each task: task id, gid:nid, kill id, kill wire.
-- Answers for each task CANCELLED, KILLING, FINAL or UNKNOWN; at last ids of damaged tasks if there are any.
local prefix = KEYS[1]
local now = now_ms()
local answer, damaged = {}, {}
for i = 2, #ARGV, 4 do
  local agent = 'dpl:agent:' .. ARGV[i + 1]
  local id = ARGV[i] .. '@' .. ARGV[i + 1]
  local task = prefix .. 'task:' .. id
  local known = sound_task(prefix, id, now, damaged)
  local done = 'FINAL'
  if not known[1] then
    done = 'UNKNOWN'
  elseif known[1] == 'RUNNING' then
    local kill = prefix .. 'task:' .. ARGV[i + 2] .. '@' .. ARGV[i + 1]
    sound(kill, 'hash')
    sound(agent .. ':control', 'list')
    if redis.call('HSETNX', kill, 'state', 'QUEUED') == 1 then
      redis.call('HSET', kill, 'job', '', 'wire', ARGV[i + 3])
      redis.call('HSET', task, 'kill_wanted', int(now))
      redis.call('RPUSH', agent .. ':control', ARGV[i + 2])
    end
    redis.call('PUBLISH', 'dpl:wake', ARGV[i + 1])
    done = 'KILLING'
  elseif not FINAL[known[1]] then
    redis.pcall('ZREM', agent .. ':inflight', ARGV[i])
    finish(prefix, id, known[2], known[1], 'KILLED', ARGV[1], now)
    done = 'CANCELLED'
  end
  table.insert(answer, done)
end
if #damaged > 0 then
  table.insert(answer, damaged)
end
return answer
