-- What lies behind the checkpoint, and behind `after`, without parked keys.
-- ARGV: 5 after, 6 the most messages
if not is_worker() then return { 'superseded' } end
local most = tonumber(ARGV[6])
local from = checkpoint()
local is_front = not behind(ARGV[5], from)
if not is_front then from = ARGV[5] end
local found, passed, looked_at = {}, nil, 0
local any_parked = redis.call('EXISTS', parked) == 1
while #found < most and looked_at < 5000 do
  local entries = redis.call('XRANGE', topic, '(' .. from, '+', 'COUNT', most - #found)
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    from, looked_at = entry[1], looked_at + 1
    if any_parked and redis.call('HEXISTS', parked, field(entry, 'key')) == 1 then
      -- Nothing else stands before it: dealt with at once, so that it is not looked at again.
      if is_front and #found == 0 then passed = entry[1] end
    else
      found[#found + 1] = { entry[1], field(entry, 'event') }
    end
  end
end
if passed and not advance(passed, 0) then return { 'full' } end
return { 'found', found }
