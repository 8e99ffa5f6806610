-- For Lua scripts that an agent runs: the twin of deployer_agent/script.py.
--   local script = require('deployer_script')
--   script.log(5, 'beginning'); script.stat('files', 3); script.result({ asked = script.data() })
local script = {}

function script.log(level, text)
  text = tostring(text)
  if text:find('\n', 1, true) or text == ':::' then
    local body = ('\n' .. text .. '\n'):gsub('\n:::\n', '\n :::\n')
    io.stdout:write(level, ':::', body, ':::\n')
  else
    io.stdout:write(level, '::', text, '\n')
  end
  io.stdout:flush()
end

local ESCAPES = { ['"'] = '\\"', ['\\'] = '\\\\', ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t' }

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    return ESCAPES[c] or string.format('\\u%04x', c:byte())
  end) .. '"'
end

local function encoded(value, depth)
  local kind = type(value)
  if depth > 32 then
    error('nested deeper than 32')
  elseif kind == 'nil' then
    return 'null'
  elseif kind == 'boolean' then
    return tostring(value)
  elseif kind == 'number' then
    if value ~= value or value == math.huge or value == -math.huge then
      return 'null'
    end
    return value == math.floor(value) and math.abs(value) < 2 ^ 53 and string.format('%d', value)
      or string.format('%.17g', value)
  elseif kind ~= 'table' then
    return quoted(tostring(value))
  end
  local parts = {}
  if #value > 0 then
    for _, item in ipairs(value) do
      table.insert(parts, encoded(item, depth + 1))
    end
    return '[' .. table.concat(parts, ',') .. ']'
  end
  for key, item in pairs(value) do
    table.insert(parts, quoted(tostring(key)) .. ':' .. encoded(item, depth + 1))
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

function script.result(value)
  script.log(20, encoded(value, 0))
end

function script.stat(key, value, kind)
  script.log(10, key .. ':' .. tostring(value) .. '|' .. (kind or 'c'))
end

-- The text that the job was given.
function script.data()
  return io.stdin:read('*a')
end

return script
