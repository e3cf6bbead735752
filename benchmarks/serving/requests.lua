-- Sends the lines of a file as JSON bodies, one after the other, and prints one line of JSON about the answers.
--   wrk -t1 -c32 -d10s -s requests.lua http://127.0.0.1:8080/predict -- bodies.txt
-- wrk runs each thread in a state of its own, so that with one thread the counters below are of all answers.
local bodies, number = {}, 0
local headers = { ["Content-Type"] = "application/json" }
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  counts = { labeled = 0, refused = 0 }
  for line in io.lines(args[1]) do
    table.insert(bodies, wrk.format("POST", nil, headers, line))
  end
end

function request()
  number = number % #bodies + 1
  return bodies[number]
end

function response(status, _, _)
  local name = status == 200 and "labeled" or "refused"
  counts[name] = counts[name] + 1
end

function done(summary, latency, _)
  local counts = threads[1]:get("counts")
  local errors = summary.errors
  print(string.format(
    'result: {"seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "failed": %d, "n_labeled": %d, "n_refused": %d}',
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.timeout, counts.labeled, counts.refused))
end
