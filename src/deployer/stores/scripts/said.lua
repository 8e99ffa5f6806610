-- SAID: entries of messages that no agent sends: syslog, and what the master says itself.
-- KEYS: company prefix, company. ARGV for each entry: stream, number of messages, messages.
-- Answers how many messages found something else under the name of their stream, or no company any more.
local prefix, lost = KEYS[1], 0
local gone = redis.call('EXISTS', KEYS[2]) == 0
for i = 1, #ARGV, 3 do
  local kind = redis.call('TYPE', ARGV[i])['ok']
  if gone or kind ~= 'stream' and kind ~= 'none' then -- its name is public: somebody else may have made something of it
    lost = lost + tonumber(ARGV[i + 1])
  else
    said(prefix, ARGV[i], ARGV[i + 2])
  end
end
return lost
