-- BREACH: a threshold has been broken for as long as it may: that is told once, by a message and an event. Nothing is
-- told while its agent is away, since nobody knows how it stands; the agent's next list sees to it.
-- KEYS: company prefix, agent, stream of messages. ARGV: id, version, number, entry of the stream.
-- Answers 1 when it is told now, else 0.
local prefix, id, n = KEYS[1], ARGV[1], ARGV[3]
local key = prefix .. 'monitor:' .. id
redis.call('ZREM', 'dpl:breaches', prefix .. '|' .. id .. '|' .. n)
local known = read(key, 'version', 'since:' .. n, 'told:' .. n)
if known[1] ~= ARGV[2] or not known[2] or known[3] or read(KEYS[2], 'state')[1] ~= 'online' then
  return 0
end
redis.call('HSET', key, 'told:' .. n, int(now_ms()))
event(prefix, 'monitor.breached', id .. '/' .. n, 'breached')
local kind = redis.call('TYPE', KEYS[3])['ok']
if kind == 'stream' or kind == 'none' then -- its name is public: somebody else may have made something of it
  said(prefix, KEYS[3], ARGV[4])
end
return 1
