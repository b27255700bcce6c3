# frozen_string_literal: true

# A hit by the package, which decodes it, beside the same GETORLOCK by the bare client, decoded too and not, in turns, the
# order turned about each time: the middle of the ratios.

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
  decoded: -> { JSON.parse(client.call("CACHE.GETORLOCK", "figures", "LEASE", "10000", "TIED", "BLOCK", "2000")[1]) },
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
%i[decoded bare].each { |name| times[[:beside, name]] = times[:corral].zip(times[name]).map { |mine, other| mine / other } }
middle = times.transform_values { |of| of.sort[CALLS / 2] }
lines = Dir[File.join(File.dirname($LOADED_FEATURES.grep(%r{/corral\.rb$}).first), "**/*.rb")].sum { |file| File.readlines(file).size }
puts "#{library}: a hit #{format("%.1f us beside %.1f, %.2f x (not decoded: %.2f x)", *middle.values_at(:corral, :decoded, %i[beside decoded], %i[beside bare]))}; near cache #{middle[:near].round(1)} us; #{lines} lines"
