# frozen_string_literal: true

# A hit by the package beside the same GETORLOCK by the bare client, in turns: the middle, and the fastest of 100.

library = ENV.fetch("LIBRARY")
require library.tr("-", "_")
require "corral"

CALLS = 6_000
url = ENV.fetch("REDIS_URL")
client = library == "redis" ? Redis.new(url: url) : RedisClient.new(url: url)
cache = Corral.new(library == "redis" ? Redis.new(url: url) : RedisClient.new(url: url), ttl: 600)
near = Corral.new(url, ttl: 600, local: 100, local_ttl: 60)
[cache, near].each { |object| 2.times { object.get_or_build("figures") { "a value of some length" } } }

calls = {
  corral: -> { cache.get_or_build("figures") { "never" } },
  bare: -> { client.call("CACHE.GETORLOCK", "figures", "LEASE", "10000", "TIED", "BLOCK", "2000") },
  near: -> { near.get_or_build("figures") { "never" } }
}
times = calls.transform_values { [] }
CALLS.times do
  calls.each do |name, call|
    began = Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_microsecond)
    call.call
    times[name] << Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_microsecond) - began
  end
end
times.each_value(&:sort!)
of = lambda do |share|
  mine, bare = times.values_at(:corral, :bare).map { |sorted| sorted[CALLS / share] }
  format("%.1f us beside %.1f, %.2f x", mine, bare, mine / bare)
end
lines = Dir[File.join(File.dirname($LOADED_FEATURES.grep(%r{/corral\.rb$}).first), "**/*.rb")].sum { |file| File.readlines(file).size }
puts "#{library}: a hit #{of.call(2)}, of the fastest #{of.call(100)}; near cache #{times[:near][CALLS / 2].round(1)} us; #{lines} lines"
