-- The value of a key, or the ticket for filling it.
-- KEYS: 1 the key
-- ARGV: 1 a ticket, in case that there is none, 2 milliseconds that it lives
local found = redis.call('GET', KEYS[1])
if not found then
  redis.call('SET', KEYS[1], 'c' .. ARGV[1], 'PX', ARGV[2])
  return 'c' .. ARGV[1]
end
return found
