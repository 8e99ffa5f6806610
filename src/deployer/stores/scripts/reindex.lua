-- REINDEX: what has to be looked at in time is among what is due, also after such an index was damaged and began anew.
-- KEYS: company prefix, plans, schedules, firings, webhooks that are due. ARGV: place in the list of jobs, how many of them.
-- Answers the next place in that list, 0 at its end.
local prefix, now = KEYS[1], now_ms()
for i = 2, 5 do
  sound(KEYS[i], 'zset')
end
for _, name in ipairs({ 'schedules', 'webhooks', 'jobs' }) do
  sound(prefix .. name, 'zset')
end
for _, id in ipairs(redis.call('ZRANGE', prefix .. 'schedules', 0, 999)) do
  local key, member = prefix .. 'schedule:' .. id, prefix .. '|' .. id
  local slot = tonumber(read(key, 'next')[1] or '')
  if slot then
    redis.call('ZADD', KEYS[3], 'NX', int(slot), member)
  end
  if (counted('LLEN', key .. ':waiting') or 0) > 0 then
    redis.call('ZADD', KEYS[4], 'NX', int(now), member)
  end
end
if tonumber(ARGV[1]) == 0 then
  for _, id in ipairs(redis.call('ZRANGE', prefix .. 'webhooks', 0, 99)) do
    local its, other = read(prefix .. 'webhook:' .. id, 'version', 'gone', 'paused')
    if other or not its[1] then -- nobody could ever remove it
      redis.call('ZREM', prefix .. 'webhooks', id)
    elseif not its[2] and its[3] ~= '1' then
      redis.call('ZADD', KEYS[5], 'NX', int(now), prefix .. '|' .. id)
    end
  end
end
local from, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local jobs = redis.call('ZRANGE', prefix .. 'jobs', from, from + most - 1)
for _, place in ipairs(jobs) do
  local job = string.match(place, ':(.*)$') or ''
  if redis.pcall('HEXISTS', prefix .. 'job:' .. job, 'plan') == 1 then
    redis.call('ZADD', KEYS[2], 'NX', int(now), prefix .. '|' .. job)
  end
end
return #jobs == most and from + most or 0
