-- One exchange of a replica with its fleet. See exchange.md.
local FORGOTTEN, ABSENT, SKEW, LONGEST_LEASE, MOST = 600000, 15000, 1000, 60000, 4096
local ASKED, UNASKED, SWEPT = 5000, 3600000, 600000
local verdicts, members, askers = KEYS[1], KEYS[2], KEYS[3]
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
  local none = { seq = 0, published = 0, of = 0, at = 0, ok = '-', suspect = '-', since = 0, lease = '-', ends = 0, body = '' }
  if redis.call('HSTRLEN', verdicts, id) > MOST then
    return none
  end
  local pattern = '^(%d+) (%d+) (%d+) (%d+) ([-01]) (%S+) (%S+) (%d+)\n(.*)$'
  local seq, published, of, at, ok, suspect, lease, ends, body =
    string.match(redis.call('HGET', verdicts, id) or '', pattern)
  if not seq or math.max(#seq, #published, #of, #at, #ends) > 15 then
    return none
  end
  local name, since = string.match(suspect, '^(%S+)@(%d+)$')
  if name and (#since > 15 or tonumber(since) > now + SKEW) then
    since = '0'
  end
  local cell = { is_stored = true, ok = ok, lease = lease, body = body }
  cell.suspect, cell.since = name or suspect, tonumber(since or 0)
  cell.seq, cell.of, cell.at, cell.ends = tonumber(seq), tonumber(of), tonumber(at), tonumber(ends)
  cell.published = math.min(tonumber(published), cell.seq)
  if cell.at > now + SKEW then
    cell.at = 0
  end
  return cell
end

local function write(id, cell)
  local suspect = cell.suspect == '-' and '-' or string.format('%s@%d', cell.suspect, cell.since)
  local head = string.format('%d %d %d %d %s %s %s %d\n', cell.seq, cell.published, cell.of, cell.at, cell.ok,
    suspect, cell.lease, cell.ends)
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

-- Returns the last two replicas that asked for a check, each with the time.
local function asked(id)
  local text = redis.call('HGET', askers, id) or ''
  local first, first_at, second, second_at = string.match(text, '^(%S+) (%d+) (%S+) (%d+)$')
  local function slot(name, at)
    if not name or #text > MOST or #at > 15 or tonumber(at) > now + SKEW then
      return { name = '-', at = 0 }
    end
    return { name = name, at = tonumber(at) }
  end
  return { slot(first, first_at), slot(second, second_at) }
end

-- Notes that this replica asks for a check. Returns the number of replicas that share it.
local function peers(id)
  local slots = asked(id)
  local oldest = slots[1].at <= slots[2].at and 1 or 2
  local others, mine = false, nil
  for place, slot in ipairs(slots) do
    if slot.name == me then
      mine = place
    elseif slot.name ~= '-' and now - slot.at < ABSENT then
      others = true
    end
  end
  local place = mine or oldest
  if leaves and mine then
    slots[place] = { name = '-', at = 0 }
  elseif not leaves and now - slots[place].at >= ASKED then
    slots[place] = { name = me, at = now }
  else
    place = nil
  end
  if place then
    local text = string.format('%s %d %s %d', slots[1].name, slots[1].at, slots[2].name, slots[2].at)
    redis.call('HSET', askers, id, text)
  end
  return others and math.max(replicas, 2) or 1
end

-- Removes the checks that no replica has asked for in an hour. The empty field has the time of the last look.
local function sweep()
  local last = tonumber(redis.call('HGET', askers, '') or '')
  if last and last <= now and now - last < SWEPT then
    return
  end
  redis.call('HSET', askers, '', string.format('%d', now))
  if not last then
    return
  end
  for _, key in ipairs({ verdicts, askers }) do
    for _, id in ipairs(redis.call('HKEYS', key)) do
      local slots = asked(id)
      if id ~= '' and now - math.max(slots[1].at, slots[2].at) >= UNASKED then
        redis.call('HDEL', verdicts, id)
        redis.call('HDEL', askers, id)
      end
    end
  end
end

local publications, wanted, shared = {}, {}, {}
for place = 1, number() do
  publications[place] = { id = argument(), seq = number(), ok = argument(), age = number(), body = argument() }
end
for place = 1, number() do
  local ask = { id = argument(), ttl = number(), lease = number(), claims = argument() == '1' }
  ask.known, ask.stamp, ask.peers = number(), number(), peers(ask.id)
  wanted[place], shared[ask.id] = ask, ask
end

for _, publication in ipairs(publications) do
  local id, seq, ok = publication.id, publication.seq, publication.ok
  local cell, ask = read(id), shared[id] or { peers = replicas, ttl = 0, lease = 0 }
  if seq == 0 then
    if cell.ok == '1' and cell.suspect == '-' and ask.peers > 1 then
      cell.suspect, cell.since = me, now
      write(id, cell)
    end
  elseif cell.is_stored and seq > cell.published then
    -- Another replica has seen the failure, too, or none has answered this one.
    local is_seconded = cell.suspect ~= '-' and (cell.suspect ~= me or now - cell.since >= ask.lease + 2 * ask.ttl)
    if ok == '1' or cell.ok == '0' or ask.peers == 1 or is_seconded then
      cell.ok, cell.of, cell.at, cell.body = ok, seq, math.max(now - publication.age, 0), publication.body
      cell.suspect, cell.since = '-', 0
    elseif cell.suspect == '-' then
      cell.suspect, cell.since = me, now
    end
    cell.published, cell.seq = seq, math.max(cell.seq, seq)
    if cell.lease == me then
      cell.lease, cell.ends = '-', 0
    end
    write(id, cell)
  end
end

local answer = { replicas }
for place, ask in ipairs(wanted) do
  local id, cell, grant = ask.id, read(ask.id), 0
  local is_leased = cell.lease ~= '-' and cell.lease ~= me and cell.ends > now
    and cell.ends <= now + math.max(ask.lease, LONGEST_LEASE)
  local is_due = now - cell.at >= ask.ttl or cell.suspect ~= '-'
  local is_answered = cell.suspect ~= me or ask.peers == 1 or now - cell.since >= ask.lease + ask.ttl
  if leaves then
    if cell.lease == me then
      cell.lease, cell.ends = '-', 0
      write(id, cell)
    end
  elseif ask.claims and is_due and not is_leased and is_answered then
    cell.seq, cell.lease, cell.ends = cell.seq + 1, me, now + ask.lease
    write(id, cell)
    grant = cell.seq
  end
  local age = cell.ok == '-' and -1 or math.max(now - cell.at, 0)
  local is_known = cell.of == ask.known and cell.at == ask.stamp
  answer[place + 1] =
    { grant, ask.peers, cell.of, cell.at, age, cell.ok == '1' and 1 or 0, is_known and '' or cell.body }
end
sweep()
redis.call('PEXPIRE', verdicts, FORGOTTEN)
redis.call('PEXPIRE', members, FORGOTTEN)
redis.call('PEXPIRE', askers, FORGOTTEN)
return answer
