-- Sends the lines of a file one after the other, each as one request; wrk prints latency and rate of the answers.
--   wrk -t1 -c32 -d10s --latency -s benchmarks/requests.lua http://127.0.0.1:8080/predict -- reviews.txt
local bodies, number = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local text = line:gsub('[%c"\\]', " ") -- what JSON would escape
    table.insert(bodies, '{"inputs": "' .. text .. '"}')
  end
end

function request()
  number = number % #bodies + 1
  return wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, bodies[number])
end
