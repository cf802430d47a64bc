-- Makes a member the worker of a group. Another name than the worker's must have seen the worker's
-- renewals stand still for a lease, on its own clock, and says which: no time is stored.
-- KEYS: 1 the group's state, 2 the topic, 3 the topic's groups
-- ARGV: 1 the member, 2 the epoch and 3 the renewals that stood still, 4 the group, 5 the most groups
local held = redis.call('HMGET', KEYS[1], 'member', 'epoch', 'renewals')
local member, epoch, renewals = held[1], held[2] or '0', held[3] or '0'
local stood_still = epoch == ARGV[2] and renewals == ARGV[3]
if member and member ~= ARGV[1] and not stood_still then
  return { 'busy', epoch, renewals }
end
if redis.call('HEXISTS', KEYS[3], ARGV[4]) == 0 then
  if redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[5]) then return { 'full', '0', '0' } end
  redis.call('HSET', KEYS[3], ARGV[4], '0-0')
end
redis.pcall('XGROUP', 'CREATE', KEYS[2], ARGV[4], '0', 'MKSTREAM')
-- Microseconds: an epoch that was lost with a second of unsynced writes is never given again.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local next_epoch = string.format('%.0f', math.max(tonumber(epoch) + 1, now))
redis.call('HSET', KEYS[1], 'member', ARGV[1], 'epoch', next_epoch)
return { 'worker', next_epoch, tostring(redis.call('HINCRBY', KEYS[1], 'renewals', 1)) }
