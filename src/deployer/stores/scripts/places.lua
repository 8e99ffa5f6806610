-- PLACES: some of a job's tasks in their order, those that are made and those that are planned, at one time.
-- KEYS: job. ARGV: first, how many. Answers {made, planned, state and result and end of planned ones that have ended}; the first is
-- nothing when what lies there is no list.
local key, first, most = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
for _, list in ipairs({ ':tasks', ':plan' }) do
  local kind = redis.call('TYPE', key .. list)['ok']
  if kind ~= 'list' and kind ~= 'none' then
    return { false, {}, {} }
  end
end
local made = redis.call('LRANGE', key .. ':tasks', first, first + most - 1)
local planned = {}
if #made < most then
  local behind = math.max(first - redis.call('LLEN', key .. ':tasks'), 0)
  planned = redis.call('LRANGE', key .. ':plan', behind, behind + most - #made - 1)
end
local rest = read(key, 'rest_state', 'rest', 'rest_at')
return { made, planned, { rest[1] or false, rest[2] or false, rest[3] or false } }
