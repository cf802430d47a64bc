-- Keeps an entry as a dead letter, parks its key, and moves the checkpoint past it.
-- ARGV: 5 the entry, 6 the reason
if not is_worker() then return 'superseded' end
local id = ARGV[5]
if not behind(id, checkpoint()) then return 'done' end
local entry = redis.call('XRANGE', topic, id, id)[1]
if not entry then return 'beyond' end
local key = field(entry, 'key')
local is_parked = redis.call('HEXISTS', parked, key) == 1
if not is_parked and redis.call('XLEN', dead) + 1 > room then return 'full' end
-- On a parked key it is set aside like everything else that the checkpoint passes.
if not advance(id, is_parked and 0 or 1) then return 'full' end
if not is_parked then
  set_aside(entry, ARGV[6], '')
  redis.call('HSET', parked, key, id)
end
return 'done'
