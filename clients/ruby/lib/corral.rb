# frozen_string_literal: true

require "corral/errors"
require "corral/serializers"
require "corral/options"
require "corral/template"
require "corral/link"
require "corral/servers"
require "corral/node"
require "corral/server"
require "corral/waiting"
require "corral/leases"
require "corral/engine"

# Values that are built once, however many processes and threads ask for them at the same time.
#
#   cache = Corral.new("redis://localhost:6379", ttl: 60, swr: 30)
#   report = cache.get_or_build("report:#{day}") { slow_query(day) }
#
# Options: README.md. Making an object talks to no server.
class Corral
  def initialize(servers, **options)
    @servers = Servers.of(servers)
    @settings, @defaults = Settings.split(options)
    @making = Mutex.new
    @engine = nil
    @process = nil
  end

  # The value, decoded from what is stored, for the builder's caller too.
  def get_or_build(key, **options, &build)
    raise Usage, "get_or_build takes a block that builds the value" unless block_given?

    engine.get_or_build(bytes_of(key), options.empty? ? @defaults : @defaults.but(options), &build)
  end

  # Builds although the value is fresh; while somebody else does, waits for theirs.
  def refresh(key, **options, &build)
    raise Usage, "refresh takes a block that builds the value" unless block_given?

    engine.get_or_build(bytes_of(key), @defaults.but(options), force: true, &build)
  end

  # A function whose values are kept: report = cache.cached("report:{day}", ttl: 60) { |day| … }, or with a Method.
  def cached(template, function = nil, **options, &block)
    function ||= block
    raise Usage, "cached takes a block or something with `call` and `parameters`" unless function.respond_to?(:call) && function.respond_to?(:parameters)

    @defaults.but(options) # what is wrong is said now
    Cached.new(self, template, options, function)
  end

  # Builds that began before are not stored. Raises NotAllAnswered if old values may still be served.
  def invalidate(*keys)
    keys = keys.flatten.map { |key| bytes_of(key) }
    engine.forgetting(keys) { engine.server.invalidate(keys) }
    nil
  end

  # On every master. swr: so long old values may still serve; 0: not at all; nil: as they were stored.
  def invalidate_tags(*tags, swr: nil)
    tags = Call.tags(tags.flatten)
    options = swr.nil? ? [] : ["SWR", (Call.seconds(:swr, swr) * 1000).round]
    engine.forgetting(nil) { engine.server.everywhere("CACHE.INVALIDATETAG", tags.size, *tags, *options) } unless tags.empty?
    nil
  end

  # The source has this version of the key now: nothing older is stored any more.
  def outdate(key, version)
    raise Usage, "version takes a whole number, not nil" if version.nil?

    key = bytes_of(key)
    version = Call.version(version)
    engine.forgetting([key]) { engine.server.outdate(key, version) }
    nil
  end

  # What the server's module can and what the user may not; raises ModuleMissing.
  def check
    engine.server.features("corral", anew: true)
  end

  def close
    @engine&.server&.topology&.close if @process == Process.pid
  end

  def inspect
    "#<Corral #{@servers.inspect}>"
  end

  # A child that was forked makes its own: no socket, thread or lock from before.
  def engine # :nodoc:
    return @engine if @process == Process.pid

    @making.synchronize do
      if @process != Process.pid
        @engine = Engine.new(@servers, @settings)
        @process = Process.pid
      end
      @engine
    end
  end

  def defaults # :nodoc:
    @defaults
  end

  private

  def bytes_of(key)
    raise Usage, "a key is a String or Symbol, not #{key.class}" unless key.is_a?(String) || key.is_a?(Symbol)

    (key.is_a?(String) ? key : key.name).b.freeze # a Hash copies a key that is not
  end
end
