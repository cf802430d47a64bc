-- Acknowledges everything up to an entry.
-- ARGV: 5 up to
if not is_worker() then return 'superseded' end
if behind(ARGV[5], checkpoint()) and is_beyond(ARGV[5]) then return 'beyond' end
if not advance(ARGV[5], 0) then return 'full' end
return 'done'
