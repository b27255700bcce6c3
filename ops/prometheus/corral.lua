-- For redis_exporter: every number of INFO corral, as redis_script_values{key="corral_..."}.
--
--   redis_exporter --redis.addr redis://127.0.0.1:6379 --script ops/prometheus/corral.lua
--
-- The exporter itself knows only the INFO fields on its own list; its --include-modules-metrics adds RediSearch's.
-- Without the module the answer is empty. Runs on replicas, too.
local values = {}
for name, value in string.gmatch(redis.call('INFO', 'corral'), '(corral_[%w_]+):(%d[%d.]*)') do
  values[#values + 1] = name
  values[#values + 1] = value
end
return values
