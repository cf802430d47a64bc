-- Adds messages to a topic, all or none; those that are known are not added again.
-- KEYS: 1 the topic, 2 the topic's groups, 3 … one per message: its identity
-- ARGV: 1 the topic's name, 2 milliseconds that identities are known for, 3 the most messages of a
-- topic, 4 how many are kept although every group is done with them, 5 the channel for wake-ups, then
-- type, key and event of each message
local topic, groups = KEYS[1], KEYS[2]
local fresh, seen = {}, {}
for i = 3, #KEYS do
  local at = 6 + (i - 3) * 3
  local place = ARGV[1] .. ' ' .. ARGV[at]
  local known = seen[KEYS[i]] or redis.call('GET', KEYS[i])
  if not known then
    seen[KEYS[i]] = place
    fresh[#fresh + 1] = { KEYS[i], place, ARGV[at + 1], ARGV[at + 2] }
  elseif known ~= place then
    return { 'conflict', i - 3 }
  end
end
if #fresh == 0 then return { 'done' } end
local length = redis.call('XLEN', topic) + #fresh
if length > tonumber(ARGV[3]) then return { 'full' } end
-- Nothing was written until here, and nothing is refused from here on.
for _, message in ipairs(fresh) do
  redis.call('SET', message[1], message[2], 'PX', ARGV[2])
  redis.call('XADD', topic, '*', 'event', message[4], 'key', message[3])
end
redis.pcall('PUBLISH', ARGV[5], ARGV[1])

-- Room is made a little at a time, and only of what every group has acknowledged.
if length > tonumber(ARGV[4]) then
  local least, ms, seq
  for _, id in ipairs(redis.call('HVALS', groups)) do
    local m, s = string.match(id, '^(%d+)-(%d+)$')
    m, s = tonumber(m), tonumber(s)
    if not least or m < ms or (m == ms and s < seq) then least, ms, seq = id, m, s end
  end
  if least then redis.call('XTRIM', topic, 'MINID', '~', least, 'LIMIT', 200 + #fresh) end
end
return { 'done' }
