-- Payments for wrk (Debian's package of that name), each with an id of its own:
--
--   wrk -t4 -c100 -d30s -s ops/wrk/payload.lua http://localhost:9999/payments               JSON
--   wrk -t4 -c100 -d30s -s ops/wrk/payload.lua http://localhost:9999/payments -- msgpack    the compact MessagePack
--
-- The last line is JSON. `accepted` are the payments that were answered with a 2xx.

local AMOUNT_JSON = "19.9"
local AMOUNT_DOUBLE = string.char(0xcb, 0x40, 0x33, 0xe6, 0x66, 0x66, 0x66, 0x66, 0x66)
-- An array of two, and a binary of 16 bytes.
local MSGPACK_HEAD = string.char(0x92, 0xc4, 16)

local threads = 0
local random, format, char = math.random, string.format, string.char

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(args)
  -- Without the clock each run would post the ids of the one before, without the number each thread those of the others.
  math.randomseed(os.time() * 1000 + number)
  msgpack = args[1] == "msgpack"
  wrk.method = "POST"
  wrk.headers["Content-Type"] = msgpack and "application/msgpack" or "application/json"
end

function request()
  if msgpack then
    return wrk.format(nil, nil, nil, MSGPACK_HEAD .. packed_id() .. AMOUNT_DOUBLE)
  end
  return wrk.format(nil, nil, nil, '{"correlationId":"' .. written_id() .. '","amount":' .. AMOUNT_JSON .. "}")
end

function written_id()
  return format(
    "%04x%04x-%04x-4%03x-%04x-%04x%04x%04x",
    random(0, 0xffff), random(0, 0xffff), random(0, 0xffff), random(0, 0xfff), random(0x8000, 0xbfff),
    random(0, 0xffff), random(0, 0xffff), random(0, 0xffff)
  )
end

function packed_id()
  return char(
    random(0, 255), random(0, 255), random(0, 255), random(0, 255), random(0, 255), random(0, 255),
    random(0x40, 0x4f), random(0, 255), random(0x80, 0xbf), random(0, 255),
    random(0, 255), random(0, 255), random(0, 255), random(0, 255), random(0, 255), random(0, 255)
  )
end

function done(summary, latency, requests)
  local errors = summary.errors
  -- wrk counts every status above 399 under `status`.
  local accepted = summary.requests - errors.status
  print(format(
    '{"requests": %d, "accepted": %d, "accepted_per_s": %.0f, "refused": %d, "broken": %d, '
      .. '"p50_ms": %.2f, "p95_ms": %.2f, "p99_ms": %.2f, "max_ms": %.2f}',
    summary.requests, accepted, accepted / summary.duration * 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000, latency.max / 1000
  ))
end
