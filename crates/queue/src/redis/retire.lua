-- KEYS: 1 the worker's set of fetched jobs, 2 list of waiting jobs, 3 sorted set of jobs yet to be moved there,
--       4 hash of payloads, 5 prefix of metadata, 6 sorted set of workers, 7 the worker's own metadata,
--       8 hash of the number of workers lost per job
-- ARGV: 1 name of the worker, 2 maximum number of losses per job, 3.. jobs still running
-- Returns: number of jobs returned, number of jobs dropped

local running = {}
for i = 3, #ARGV do
    running[ARGV[i]] = true
end

-- Required by the fetching script, which otherwise ends the worker.
local function readable(id)
    if redis.call("HEXISTS", KEYS[4], id) == 0 then
        return false
    end
    local meta = redis.pcall("HMGET", KEYS[5] .. ":" .. id, "attempts", "max_attempts", "status")
    return not meta.err and meta[1] and meta[2] and meta[3]
end

local function drop(id)
    redis.call("HDEL", KEYS[4], id)
    redis.call("DEL", KEYS[5] .. ":" .. id)
    redis.call("HDEL", KEYS[8], id)
end

local given_back, dropped, kept = 0, 0, 0

-- 1. The jobs it had fetched.
for _, id in ipairs(redis.call("SMEMBERS", KEYS[1])) do
    if running[id] then
        kept = kept + 1
    else
        redis.call("SREM", KEYS[1], id)
        if readable(id) and redis.call("HINCRBY", KEYS[8], id, 1) <= tonumber(ARGV[2]) then
            redis.call("RPUSH", KEYS[2], id)
            given_back = given_back + 1
        else
            drop(id)
            dropped = dropped + 1
        end
    end
end
redis.call("EXPIRE", KEYS[8], 3600)

-- 2. Entries that would end the next worker.
for _, id in ipairs(redis.call("LRANGE", KEYS[2], 0, -1)) do
    if not readable(id) then
        redis.call("LREM", KEYS[2], 1, id)
        drop(id)
        dropped = dropped + 1
    end
end

-- 3. Move due jobs in batches, so that the fetching script finds few.
local now = redis.call("TIME")[1]
repeat
    local due = redis.call("ZRANGEBYSCORE", KEYS[3], 0, now, "LIMIT", 0, 1000)
    if #due > 0 then
        redis.call("RPUSH", KEYS[2], unpack(due))
        redis.call("ZREM", KEYS[3], unpack(due))
    end
until #due < 1000

-- 4. The worker itself, unless its jobs are still running: if those are lost, its missing heartbeats reveal
-- it.
if kept == 0 then
    redis.call("ZREM", KEYS[6], ARGV[1])
    redis.call("DEL", KEYS[7])
end

return {given_back, dropped}
