-- Send prepared requests in order: `wrk ... -s wrk.lua <address> -- <file> <cycle|once>`.
-- Each request in the file is a line with its length, its bytes, and a line feed.

local requests, at, is_cyclic = {}, 0, false

function init(args)
   is_cyclic = args[2] == "cycle"
   local file = assert(io.open(args[1], "rb"))
   while true do
      local length = file:read("*l")
      if not length then break end
      requests[#requests + 1] = file:read(tonumber(length))
      file:read(1)
   end
   file:close()
end

function request()
   at = at + 1
   if at > #requests then
      if not is_cyclic then
         wrk.thread:stop()
         return "GET" -- not a whole request, so nobody answers it
      end
      at = 1
   end
   return requests[at]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      "RESULT %d %d %d %d %d %d %d\n",
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
      errors.status, errors.connect + errors.read + errors.write + errors.timeout
   ))
end
