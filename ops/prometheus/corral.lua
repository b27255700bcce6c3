-- For redis_exporter: every number of INFO corral, as redis_script_values{key="corral_..."}; of each group as
-- corral_group_NAME_FIELD, its circuit as 0 closed, 1 half-open, 2 open.
--
--   redis_exporter --redis.addr redis://127.0.0.1:6379 --script ops/prometheus/corral.lua
--
-- The exporter itself knows only the INFO fields on its own list; its --include-modules-metrics adds RediSearch's.
-- Without the module the answer is empty. Runs on replicas, too.
local info = redis.call('INFO', 'corral')
local circuits = { closed = '0', ['half-open'] = '1', open = '2' }
local values = {}
for name, value in string.gmatch(info, '(corral_[%w_]+):(%d[%d.]*)') do
  values[#values + 1] = name
  values[#values + 1] = value
end
for group, line in string.gmatch(info, '(corral_group_[%w_-]+):([^\r\n]+)') do
  for field, value in string.gmatch(line, '(%l+)=([%w-]+)') do
    values[#values + 1] = group .. '_' .. field
    values[#values + 1] = circuits[value] or value
  end
end
return values
