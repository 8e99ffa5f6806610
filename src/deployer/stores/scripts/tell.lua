-- TELL: some of the jobs that wait for one that has ended are told how it did.
-- KEYS: jobs that have ended. ARGV: most.
-- Answers how many were told, or nothing when there is nobody to be told.
sound(KEYS[1], 'zset')
local found = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
if not found then
  return false
end
local prefix, job = string.match(found, '^(.-)|(.*)$')
local key = (prefix or '') .. 'job:' .. (job or '')
sound(key .. ':waiting', 'set')
local waiting = prefix and redis.call('SPOP', key .. ':waiting', tonumber(ARGV[1])) or {}
local ended = outcome(key)
for _, other in ipairs(waiting) do
  if redis.pcall('HEXISTS', prefix .. 'job:' .. other, 'plan') == 1 then
    redis.call('HSET', prefix .. 'job:' .. other, 'dep:' .. job, ended)
    due(prefix, other, true)
  end
end
if redis.call('EXISTS', key .. ':waiting') == 0 then
  redis.call('ZREM', KEYS[1], found)
end
return #waiting
