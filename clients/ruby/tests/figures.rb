# frozen_string_literal: true

# A hit by the package, decoded, beside the same GETORLOCK by the bare client, not decoded, in turns, each order half: the
# middle of the ratios.

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
  bare: -> { client.call("CACHE.GETORLOCK", "figures", "LEASE", "10000", "TIED", "BLOCK", "2000") }
}
times = Hash.new { |all, name| all[name] = [] }
timed = lambda do |name, call|
  began = Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_microsecond)
  call.call
  times[name] << Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_microsecond) - began
end
CALLS.times { |number| (number.odd? ? calls : calls.to_a.reverse).each { |name, call| timed.call(name, call) } }
CALLS.times { timed.call(:near, -> { near.get_or_build("figures") { "never" } }) }
times[:ratio] = times[:corral].zip(times[:bare]).map { |mine, bare| mine / bare }
middle = times.transform_values { |of| of.sort[CALLS / 2] }
lines = Dir[File.join(File.dirname($LOADED_FEATURES.grep(%r{/corral\.rb$}).first), "**/*.rb")].sum { |file| File.readlines(file).size }
puts "#{library}: a hit #{format("%.1f us beside %.1f, %.2f x", *middle.values_at(:corral, :bare, :ratio))}; near cache #{middle[:near].round(1)} us; #{lines} lines"
