-- LOG: one batch of messages, stored once whatever is sent again (RELIABILITY 2.7).
-- KEYS: agent, company prefix. ARGV: gid:nid, epoch, instance, touch ms, boot, seq, share in bytes,
-- then for each group: task id (empty: the agent's own messages), stream, number of messages, bytes of their texts, entry.
-- Answers {OK, acked, messages dropped as over the share, messages of tasks that are not this instance's, messages whose
-- stream is no stream, 1 when the batch was new} or {STALE}.
local agent, prefix = KEYS[1], KEYS[2]
if read(agent, 'epoch')[1] ~= ARGV[2] then
  return { 'STALE' }
end
touch(agent, ARGV[1], prefix, tonumber(ARGV[4]), now_ms())
local known = redis.call('HMGET', agent, 'log_boot', 'log_seq')
local seq = tonumber(ARGV[6])
if known[1] == ARGV[5] and seq <= (tonumber(known[2] or '') or 0) then
  return { 'OK', known[2], 0, 0, 0, 0 }
end
local over, foreign, lost = 0, 0, 0
for i = 8, #ARGV, 5 do
  local task = prefix .. 'task:' .. ARGV[i] .. '@' .. ARGV[1]
  local had = read(task, 'by', 'job', 'log_bytes', 'log_dropped')
  local texts = tonumber(ARGV[i + 3])
  local kind = redis.call('TYPE', ARGV[i + 1])['ok']
  if kind ~= 'stream' and kind ~= 'none' then -- its name is public: somebody else may have made something of it
    lost = lost + tonumber(ARGV[i + 2])
  elseif ARGV[i] == '' then
    said(prefix, ARGV[i + 1], ARGV[i + 4])
  elseif had[1] ~= ARGV[3] or not had[2] or had[2] == '' then
    foreign = foreign + tonumber(ARGV[i + 2])
  elseif had[4] or (tonumber(had[3] or '') or 0) + texts > tonumber(ARGV[7]) then -- all that follows lies with the agent
    count(task, 'log_dropped', tonumber(ARGV[i + 2]))
    over = over + tonumber(ARGV[i + 2])
  else
    local entry = said(prefix, ARGV[i + 1], ARGV[i + 4])
    local job = prefix .. 'job:' .. had[2]
    count(task, 'log_bytes', texts)
    redis.pcall('HSETNX', job, 'log_first', entry)
    redis.pcall('HSET', job, 'log_last', entry, 'log_stream', ARGV[i + 1])
    redis.call('PUBLISH', 'dpl:log', had[2])
  end
end
redis.call('HSET', agent, 'log_boot', ARGV[5], 'log_seq', ARGV[6])
return { 'OK', ARGV[6], over, foreign, lost, 1 }
