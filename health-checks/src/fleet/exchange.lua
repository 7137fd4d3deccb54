-- One exchange of a replica with its fleet. See exchange.md.
local FORGOTTEN, ABSENT, SKEW, LONGEST_LEASE, MOST = 600000, 15000, 1000, 60000, 4096
local verdicts, members = KEYS[1], KEYS[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local position = 0
local function argument()
  position = position + 1
  return ARGV[position]
end
local function number()
  return tonumber(argument())
end

local function read(id)
  local none = { seq = 0, published = 0, of = 0, at = 0, ok = '-', suspect = '-', lease = '-', ends = 0, body = '' }
  if redis.call('HSTRLEN', verdicts, id) > MOST then
    return none
  end
  local pattern = '^(%d+) (%d+) (%d+) (%d+) ([-01]) (%S+) (%S+) (%d+)\n(.*)$'
  local seq, published, of, at, ok, suspect, lease, ends, body =
    string.match(redis.call('HGET', verdicts, id) or '', pattern)
  if not seq or math.max(#seq, #published, #of, #at, #ends) > 15 then
    return none
  end
  local cell = { is_stored = true, ok = ok, suspect = suspect, lease = lease, body = body }
  cell.seq, cell.of, cell.at, cell.ends = tonumber(seq), tonumber(of), tonumber(at), tonumber(ends)
  cell.published = math.min(tonumber(published), cell.seq)
  if cell.at > now + SKEW then
    cell.at = 0
  end
  return cell
end

local function write(id, cell)
  local head = string.format('%d %d %d %d %s %s %s %d\n', cell.seq, cell.published, cell.of, cell.at, cell.ok,
    cell.suspect, cell.lease, cell.ends)
  redis.call('HSET', verdicts, id, head .. cell.body)
end

local me, leaves = argument(), argument() == '1'
if leaves then
  redis.call('ZREM', members, me)
else
  redis.call('ZADD', members, now, me)
end
redis.call('ZREMRANGEBYSCORE', members, '-inf', now - ABSENT)
redis.call('ZREMRANGEBYSCORE', members, '(' .. now, '+inf')
local replicas = redis.call('ZCARD', members)

for _ = 1, number() do
  local id, seq, ok, age, body = argument(), number(), argument(), number(), argument()
  local cell = read(id)
  if seq == 0 then
    if cell.ok == '1' and cell.suspect == '-' and replicas > 1 then
      cell.suspect = me
      write(id, cell)
    end
  elseif cell.is_stored and seq > cell.published then
    local is_confirmed = cell.ok == '0' or replicas == 1 or (cell.suspect ~= '-' and cell.suspect ~= me)
    if ok == '1' or is_confirmed then
      cell.ok, cell.of, cell.at, cell.body, cell.suspect = ok, seq, math.max(now - age, 0), body, '-'
    else
      cell.suspect = me
    end
    cell.published, cell.seq = seq, math.max(cell.seq, seq)
    if cell.lease == me then
      cell.lease, cell.ends = '-', 0
    end
    write(id, cell)
  end
end

local answer = { replicas }
for _ = 1, number() do
  local id, ttl, lease, known = argument(), number(), number(), number()
  local cell, grant = read(id), 0
  local is_leased = cell.lease ~= '-' and cell.ends > now and cell.ends <= now + math.max(lease, LONGEST_LEASE)
  local is_due = now - cell.at >= ttl or cell.suspect ~= '-'
  if leaves then
    if cell.lease == me then
      cell.lease, cell.ends = '-', 0
      write(id, cell)
    end
  elseif is_due and not is_leased and (cell.suspect ~= me or replicas == 1) then
    cell.seq, cell.lease, cell.ends = cell.seq + 1, me, now + lease
    write(id, cell)
    grant = cell.seq
  end
  local age = cell.ok == '-' and -1 or math.max(now - cell.at, 0)
  answer[#answer + 1] = { grant, cell.of, age, cell.ok == '1' and 1 or 0, cell.of == known and '' or cell.body }
end
redis.call('PEXPIRE', verdicts, FORGOTTEN)
redis.call('PEXPIRE', members, FORGOTTEN)
return answer
