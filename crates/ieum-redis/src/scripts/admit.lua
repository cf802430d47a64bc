-- One request against a rate limit: the generic cell rate algorithm with the arithmetic of
-- `ieum_resilience::rate_limit::Quota`, on the time of this server alone. It counts microseconds since
-- 2025, so that a double has room for fractions that are finer than any interval.
-- KEYS: 1 the cell: the time at which the schedule is empty
-- ARGV: 1 nanoseconds from one request to the next, 2 the burst
local interval = tonumber(ARGV[1]) / 1000
local tolerance = interval * tonumber(ARGV[2])
local time = redis.call('TIME')
local now = (time[1] - 1735689600) * 1000000 + time[2]
-- A clock that was set back must not lock a key for longer than its whole burst takes.
local empty_at = math.min(tonumber(redis.call('GET', KEYS[1]) or '0'), now + tolerance)
local debt = math.max(empty_at, now) + interval - now
if debt > tolerance + 0.02 then
  local left = math.max(empty_at - now, 0)
  return { 0, string.format('%.3f', debt - tolerance), string.format('%.3f', left) }
end
local expires = string.format('%.0f', math.ceil(debt / 1000) + 1)
redis.call('SET', KEYS[1], string.format('%.3f', now + debt), 'PX', expires)
return { 1, string.format('%.3f', debt), '' }
