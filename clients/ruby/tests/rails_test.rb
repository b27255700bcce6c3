# frozen_string_literal: true

# Rails' own behaviours of cache stores, as its source has them (ACTIVESUPPORT_TESTS names its test directory), with
# corral_store for the store.

require "minitest/autorun"
require "active_support"
require "active_support/test_case"
require "active_support/testing/method_call_assertions"
require "active_support/cache"
require "active_support/core_ext"
require "securerandom"
require "tempfile"
require "active_support/cache/corral_store"
require File.join(ENV.fetch("ACTIVESUPPORT_TESTS"), "cache/behaviors")
$LOAD_PATH.unshift ENV.fetch("ACTIVESUPPORT_TESTS")

Encoding.default_internal = Encoding.default_external = Encoding::UTF_8
ActiveSupport.to_time_preserves_timezone = false
I18n.enforce_available_locales = false
ActiveSupport::TestCase.include ActiveSupport::Testing::MethodCallAssertions

class RailsTest < ActiveSupport::TestCase
  setup do
    @namespace = "test-#{SecureRandom.hex}"
    @cache = lookup_store(expires_in: 60)
    @peek = lookup_store(expires_in: 60)
  end

  teardown { @cache.clear }

  def lookup_store(options = {})
    ActiveSupport::Cache.lookup_store(:corral_store, { url: ENV.fetch("REDIS_URL"), namespace: @namespace }.merge(options))
  end
end

class CommonBehaviorTest < RailsTest
  include CacheStoreBehavior
  include CacheStoreVersionBehavior
  include CacheStoreCoderBehavior
  include LocalCacheBehavior
  include CacheIncrementDecrementBehavior
  include CacheInstrumentationBehavior
  include AutoloadingCacheBehavior
  include EncodedKeyCacheBehavior

  OF_WRITE = "expects a call of write: the value goes with the lease"
  CLOCK = "moves Ruby's clock: the server has its own"
  SKIPPED = {
    "test_cache_miss_instrumentation" => "the reading, the block and the writing are one request: it ends last, not first",
    "test_fetch_with_forced_cache_miss" => OF_WRITE, "test_fetch_with_cache_miss" => OF_WRITE,
    "test_race_condition_protection_skipped_if_not_defined" => CLOCK, "test_race_condition_protection_is_limited" => CLOCK,
    "test_race_condition_protection_is_safe" => CLOCK, "test_race_condition_protection" => CLOCK
  }.freeze

  setup { skip SKIPPED[name] if SKIPPED.key?(name) }

  test "may be looked up as :corral_store" do
    assert_kind_of ActiveSupport::Cache::CorralStore, lookup_store
  end
end

class FetchTest < RailsTest
  test "a herd in four processes builds once" do
    built = Tempfile.new
    children = Array.new(4) do |number|
      fork do
        values = Array.new(5) do
          Thread.new do
            @cache.fetch("herd") do
              File.write(built.path, "x", mode: "a")
              sleep(0.5)
              "value"
            end
          end
        end.map(&:value)
        exit!(values.uniq == ["value"])
      end
    end
    assert(children.all? { |child| Process.wait2(child).last.success? })
    assert_equal "x", File.read(built.path)
  end

  test "within race_condition_ttl the old value is served while one builds behind it" do
    gate = Queue.new
    @cache.fetch("k", expires_in: 0.01, race_condition_ttl: 60) { "old" }
    wait_until { !@cache.exist?("k") }
    assert_equal("old", @cache.fetch("k", race_condition_ttl: 60) { gate.pop && "new" })
    assert_equal("old", @peek.fetch("k", race_condition_ttl: 60) { "not built" })
    gate << true
    wait_until { @cache.read("k") == "new" }
  end

  test "sie serves the old value while builds fail, and others are told otherwise" do
    @cache.fetch("k", expires_in: 0.01, sie: 60) { "old" }
    wait_until { !@cache.exist?("k") }
    assert_equal("old", @cache.fetch("k", sie: 60, backoff: 60) { raise "source is down" })
    assert_raises(RuntimeError) { @cache.fetch("other", backoff: 60) { raise "source is down" } }
    assert_raises(Corral::BuildFailed) { @peek.fetch("other") { "not tried" } }
  end

  test "what two processes hold for another version is built once more, not twice" do
    builds = 0
    @cache.fetch("k", version: 1) { "one" }
    [@cache, @peek].map { |cache| Thread.new { cache.fetch("k", version: 2) { builds += 1; sleep(0.2); "two" } } }.each { |thread| assert_equal "two", thread.value }
    assert_equal 1, builds
  end

  test "entries of Rails' own Redis store go on to serve, but not longer than they are good" do
    other = ActiveSupport::Cache.lookup_store(:redis_cache_store, { url: ENV.fetch("REDIS_URL"), namespace: @namespace })
    other.write("k", "theirs")
    assert_equal("theirs", @cache.fetch("k") { "built" })
    other.write("over", "theirs", expires_in: 0.01, race_condition_ttl: 1)
    sleep(0.05)
    assert_equal("built", @cache.fetch("over") { "built" })
    assert_equal("built", @peek.fetch("over") { "again" })
  end

  test "what nobody can read is built anew, and so is what has no value of Rails' in it" do
    @cache.write("k", "plain", raw: true)
    @cache.corral.engine.server.command("CACHE.SET", "#{@namespace}:l", "\x04\x08o:\fNoSuchXx\x00".b)
    %w[k l].each { |key| assert_equal %w[built built], [@cache.fetch(key) { "built" }, @peek.fetch(key) { "again" }] }
  end

  def wait_until(seconds = 20)
    deadline = Corral.now + seconds
    sleep(0.01) until yield || Corral.now > deadline
    assert_operator Corral.now, :<=, deadline
  end
end

class FailureSafetyTest < RailsTest
  include FailureSafetyBehavior

  private

  def emulating_unavailability
    yield ActiveSupport::Cache::CorralStore.new(url: "redis://127.0.0.1:1", namespace: @namespace, logger: Logger.new(IO::NULL))
  end
end

class DeleteMatchedTest < RailsTest
  test "deletes keys matching glob" do
    @cache.write("foo", "bar")
    @cache.write("fu", "baz")
    @cache.delete_matched("foo*")
    assert_not @cache.exist?("foo")
    assert @cache.exist?("fu")
  end

  test "a namespace is no pattern" do
    odd = lookup_store(namespace: "#{@namespace}*[b?")
    [odd, @cache].each { |cache| cache.write("foo", "bar") }
    odd.clear
    assert_equal [false, true], [odd.exist?("foo"), @cache.exist?("foo")]
    lookup_store(namespace: "#{@namespace[0..-2]}*").clear
    assert @cache.exist?("foo")
  end

  test "fails with regexp matchers" do
    assert_raise(ArgumentError) { @cache.delete_matched(/OO/i) }
  end
end
