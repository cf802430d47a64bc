-- What the scripts of a consumer group share; put in front of each of them.
-- KEYS: 1 the group's state, 2 the topic, 3 the topic's groups, 4 the parked keys, 5 the dead letters
-- ARGV: 1 the epoch, 2 whether to renew, 3 the group, 4 the most dead letters
local state, topic, groups, parked, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local group, room = ARGV[3], tonumber(ARGV[4])

-- Whether the id `a` lies behind the id `b`. Both parts are far below 2^53.
local function behind(a, b)
  local am, as = string.match(a, '^(%d+)-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)-(%d+)$')
  am, as, bm, bs = tonumber(am), tonumber(as), tonumber(bm), tonumber(bs)
  return am > bm or (am == bm and as > bs)
end

-- The named field of an entry.
local function field(entry, name)
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
  return ''
end

-- Whether the caller still works for the group: checked in the script that writes, never before it.
local function is_worker()
  if redis.call('HGET', state, 'epoch') ~= ARGV[1] then return false end
  if ARGV[2] == '1' then redis.call('HINCRBY', state, 'renewals', 1) end
  return true
end

local function checkpoint()
  return redis.call('HGET', groups, group) or '0-0'
end

local function is_known(id)
  return #redis.call('XRANGE', dead, id, id) > 0
end

local function set_aside(entry, reason, waits_behind)
  local now = redis.call('TIME')
  local millis = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
  redis.call('XADD', dead, entry[1], 'event', field(entry, 'event'), 'key', field(entry, 'key'),
    'reason', reason, 'behind', waits_behind, 'at', millis)
end

-- Moves the checkpoint to `up_to`, never back; what it passes on parked keys is set aside. Keeps
-- `spare` places among the dead letters free. False if there is no room, and then nothing is changed.
local function advance(up_to, spare)
  local from = checkpoint()
  if not behind(up_to, from) then return true end
  if redis.call('EXISTS', parked) == 1 then
    local passed, last = {}, from
    repeat
      local entries = redis.call('XRANGE', topic, '(' .. last, up_to, 'COUNT', 500)
      for _, entry in ipairs(entries) do
        local waits_behind = redis.call('HGET', parked, field(entry, 'key'))
        if waits_behind and not is_known(entry[1]) then
          passed[#passed + 1] = { entry, waits_behind }
        end
        last = entry[1]
      end
    until #entries < 500
    if #passed > 0 and redis.call('XLEN', dead) + #passed + spare > room then return false end
    for _, one in ipairs(passed) do set_aside(one[1], '', one[2]) end
  end
  redis.call('HSET', groups, group, up_to)
  -- For the eyes of others only: what reads is `groups`.
  redis.pcall('XGROUP', 'SETID', topic, group, up_to)
  return true
end

-- Whether `id` lies behind the end of the topic.
local function is_beyond(id)
  if #redis.call('XRANGE', topic, id, id) > 0 then return false end
  local last = redis.call('XREVRANGE', topic, '+', '-', 'COUNT', 1)
  return #last == 0 or behind(id, last[1][1])
end
