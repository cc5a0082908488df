-- KEYS: 1 set of jobs that are done, 2 set of jobs that are dead, 3 hash of payloads, 4 prefix of metadata,
--       5 sorted set of workers
-- ARGV: 1 how many jobs at most, of each set, 2 seconds to keep what is known of a worker, 3 prefix of that
-- Returns: how many were removed of the larger portion

local most = 0
for _, set in ipairs({KEYS[1], KEYS[2]}) do
    local ids = redis.call("SPOP", set, ARGV[1])
    for _, id in ipairs(ids) do
        redis.call("HDEL", KEYS[3], id)
        redis.call("DEL", KEYS[4] .. ":" .. id)
    end
    most = math.max(most, #ids)
end

-- A worker that was killed cannot remove its metadata: it expires unless a later beat still sees the worker.
for _, worker in ipairs(redis.call("ZRANGE", KEYS[5], 0, -1)) do
    redis.call("EXPIRE", ARGV[3] .. worker, ARGV[2])
end

return most
