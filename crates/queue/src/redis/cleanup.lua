-- KEYS: 1 set of done jobs, 2 set of dead jobs, 3 hash of payloads, 4 prefix of metadata,
--       5 sorted set of workers
-- ARGV: 1 maximum number of jobs per set, 2 retention of a worker's data in seconds, 3 prefix of that data
-- Returns: number of jobs removed from the larger set

local most = 0
for _, set in ipairs({KEYS[1], KEYS[2]}) do
    local ids = redis.call("SPOP", set, ARGV[1])
    for _, id in ipairs(ids) do
        redis.call("HDEL", KEYS[3], id)
        redis.call("DEL", KEYS[4] .. ":" .. id)
    end
    most = math.max(most, #ids)
end

-- A killed worker cannot remove its metadata: it expires unless a later tick still sees the worker.
for _, worker in ipairs(redis.call("ZRANGE", KEYS[5], 0, -1)) do
    redis.call("EXPIRE", ARGV[3] .. worker, ARGV[2])
end

return most
