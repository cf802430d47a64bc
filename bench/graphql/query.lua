-- One query for a thousand users in turn.
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
local query = "query Orders($id: ID!) { user(id: $id) { name orders { id total status } } }"
local user = 0

request = function()
  user = user % 1000 + 1
  local body = string.format('{"query":"%s","variables":{"id":"%d"}}', query, user)
  return wrk.format(nil, nil, nil, body)
end

-- An answer that is not the data would be cheap.
response = function(status, headers, body)
  if status ~= 200 or not body:find('"orders":[', 1, true) or body:find('"errors"', 1, true) then
    io.stderr:write("wrong answer: " .. status .. " " .. body .. "\n")
    wrk.thread:stop()
  end
end
