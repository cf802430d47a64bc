-- Keeps a value if the ticket is still there.
-- KEYS: 1 the key
-- ARGV: 1 the ticket, 2 the value, 3 milliseconds that it lives
if redis.call('GET', KEYS[1]) ~= 'c' .. ARGV[1] then return 0 end
redis.call('SET', KEYS[1], 'v' .. ARGV[2], 'PX', ARGV[3])
return 1
