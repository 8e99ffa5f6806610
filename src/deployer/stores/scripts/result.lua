-- RESULT: the first final result wins and never changes (I3).
-- KEYS: agent, company prefix. ARGV: gid:nid, epoch, instance, touch ms, then for each: id, state, result.
-- Answers {OK, receipt, …, ids of damaged tasks if there are any} or {STALE}.
local agent, prefix = KEYS[1], KEYS[2]
if read(agent, 'epoch')[1] ~= ARGV[2] then
  return { 'STALE' }
end
must_take_writes()
local now = now_ms()
touch(agent, ARGV[1], prefix, tonumber(ARGV[4]), now)
local answer, damaged = { 'OK' }, {}
for i = 5, #ARGV, 3 do
  local id, state, result = ARGV[i] .. '@' .. ARGV[1], ARGV[i + 1], ARGV[i + 2]
  local known = sound_task(prefix, id, now, damaged, 'by', 'result')
  local receipt = 'CONFLICT'
  if not known[1] then
    receipt = 'UNKNOWN'
  elseif FINAL[known[1]] then
    receipt = (known[3] == ARGV[3] and known[4] == result) and 'DUP' or 'CONFLICT'
  elseif known[1] == 'RUNNING' and known[3] == ARGV[3] then
    finish(prefix, id, known[2], 'RUNNING', state, result, now)
    receipt = 'OK'
  end
  table.insert(answer, receipt)
end
if #damaged > 0 then
  table.insert(answer, damaged)
end
return answer
