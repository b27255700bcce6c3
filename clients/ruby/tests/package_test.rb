# frozen_string_literal: true

# With the gem installed, over redis-client or redis-rb (LIBRARY), against REDIS_URL.

require "minitest/autorun"
require "connection_pool"
require "timeout"
require ENV.fetch("LIBRARY", "redis").tr("-", "_")
require "corral"

URL = ENV.fetch("REDIS_URL")
QUIET = Class.new { def method_missing(*); end; def respond_to_missing?(*) = true }.new

module Server
  def client(**options)
    defined?(Redis) ? Redis.new(url: URL, **options) : RedisClient.new(url: URL, **options)
  end

  # The server's own answer, not by way of the package.
  def server(*words)
    @server ||= client
    @server.call(*words)
  end

  def setup
    server("FLUSHALL")
  end

  def wait_until(what, seconds = 20)
    deadline = Corral.now + seconds
    until yield
      raise "#{what}: not within #{seconds} s" if Corral.now > deadline

      sleep(0.01)
    end
  end

  def stale(key, old = '"old"')
    server("CACHE.SET", key, old, "PX", "1", "SWR", "60000")
    wait_until("it is stale") { server("CACHE.GET", key).first == "STALE" }
  end
end

class CallsTest < Minitest::Test
  include Server

  def test_an_unknown_option_is_refused_and_the_known_ones_are_named
    error = assert_raises(Corral::Usage) { Corral.new(URL).get_or_build("k", tll: 3) { 1 } }
    assert_match(/unknown option: tll; known are ttl, swr/, error.message)
  end

  def test_a_wrong_option_says_what_it_takes
    {
      { ttl: -1 } => /ttl takes seconds/, { ttl: "60" } => /ttl takes seconds/, { wait: Float::INFINITY } => /wait takes seconds/,
      { jitter: 101 } => /jitter takes a percentage/, { tags: "red" } => /tags takes a list/, { on_timeout: :wait } => /on_timeout takes :raise or :build/,
      { degrade: false } => /degrade takes true or :raise/, { degrade_limit: 0 } => /degrade_limit takes 1 and more/, { serializer: :yaml } => /serializer takes :json/
    }.each do |options, said|
      assert_match(said, assert_raises(Corral::Usage) { Corral.new(URL, **options) }.message)
    end
  end

  def test_ttl_tags_and_version_may_be_functions_of_the_value
    call = Corral::Call.new(ttl: ->(row) { row[:ttl] }, tags: ->(row) { ["a:#{row[:id]}"] }, version: ->(row) { row[:id] })
    assert_equal ["PX", 2500, "TAGS", 1, "a:7", "VERSION", 7], call.fill_options({ ttl: 2.5, id: 7 })
    assert_equal ["PXAT", 1], Corral::Call.new(ttl: 0, swr: 0).fill_options(1)
    assert_equal [], Corral::Call.new(swr: 5).fill_options(1)
  end

  def test_a_template_takes_parts_of_arguments
    user = Struct.new(:id, :name).new(7, "a:b")
    cached = Corral.new(URL).cached("{user.id}:{user.name}:{row.x}:{day}") { |user, row, day:| [user, row, day] }
    assert_equal "7:a%3Ab:1:monday", cached.key(user, { x: 1 }, day: "monday")
    assert_match(/argument day is missing/, assert_raises(Corral::Usage) { cached.key(user, { x: 1 }) }.message)
  end

  def test_tags_are_made_of_arguments_as_they_are
    cache = Corral.new(URL, ttl: 60, tags: ["{all}"])
    built = []
    page = cache.cached("page:{user.id}:{day}", tags: ["user:{user.id}", :pages]) { |user, day:| built.push(day).last }
    ada = Struct.new(:id).new("a:b")
    pages = -> { [page.call(ada, day: 1), page.call(ada, day: 2)] }
    assert_equal [[1, 2], [1, 2], [1, 2]], [pages.call, pages.call, built]
    cache.invalidate_tags("user:a:b")
    assert_equal [[1, 2], [1, 2, 1, 2]], [pages.call, built]
    page.refresh(ada, day: 2)
    cache.invalidate_tags("pages")
    assert_equal [[1, 2], [1, 2, 1, 2, 2, 1, 2]], [pages.call, built]
    # Those of all calls, and those of a call, are nobody's template.
    cache.cached("default:{day}") { |day| day }.call(3)
    cache.get_or_build("one", tags: ["day:{day}"]) { 1 }
    assert_equal %w[HIT HIT], [server("CACHE.GET", "default:3").first, server("CACHE.GET", "one").first]
    cache.invalidate_tags("{all}", "day:{day}", swr: 0)
    assert_equal %w[MISS MISS], [server("CACHE.GET", "default:3").first, server("CACHE.GET", "one").first]
    refused = assert_raises(Corral::Usage) { cache.cached("all", tags: ["pages", "user:{id}"]) { 1 } }
    assert_match(/"user:\{id\}": \{id\} is no parameter of the function, which has none/, refused.message)
  end

  def test_slots_are_those_of_the_server
    assert_equal 12_739, Corral::Topology.slot("123456789")
    assert_equal Corral::Topology.slot("user1000"), Corral::Topology.slot("{user1000}.following")
    refute_equal Corral::Topology.slot(""), Corral::Topology.slot("{}x")
  end

  def test_urls_name_servers_users_databases_and_tls
    at = Corral::Servers.at("rediss://app:p%40ss@cache:7000/3")
    assert_equal [["cache", 7000]], at.addresses
    assert_equal({ username: "app", password: "p@ss", db: 3, ssl: true }, at.connecting)
    refute_match(/p@ss/, at.inspect)
    assert_raises(Corral::Usage) { Corral.new("localhost:6379") }
  end

  def test_the_settings_of_a_client_and_of_a_pool_are_taken
    [client(db: 2), ConnectionPool.new { client(db: 2) }].each_with_index do |given, index|
      assert_equal "v", Corral.new(given).get_or_build("k#{index}") { "v" }
    end
    assert_equal '"v"', client(db: 2).call("CACHE.GET", "k1")[1]
  end

  def test_what_json_does_not_know_is_refused_and_not_written_as_something_else
    error = assert_raises(JSON::GeneratorError) { Corral.new(URL, backoff: 60).get_or_build("k") { { at: Time.now } } }
    assert_match(/JSON has no Time/, error.message)
    assert_equal "FAIL", server("CACHE.GET", "k").first
    assert_instance_of Time, Corral.new(URL, serializer: :marshal).get_or_build("m") { Time.now }
  end

  def test_what_was_built_and_how_it_went_is_told_to_the_hook
    seen = []
    cache = Corral.new(URL, backoff: 60, on_event: ->(event) { seen << "#{event.name} #{event.key}" })
    2.times { cache.get_or_build("k") { 1 } }
    assert_raises(KeyError) { cache.get_or_build("bad") { {}.fetch(:x) } }
    assert_equal ["built k", "hit k", "failed bad"], seen
  end

  def test_other_processes_are_told_the_class_only_if_the_text_is_a_secret
    assert_raises(KeyError) { Corral.new(URL, error_text: false, backoff: 60).get_or_build("k") { {}.fetch(:secret) } }
    assert_equal "k: KeyError", assert_raises(Corral::BuildFailed) { Corral.new(URL).get_or_build("k") { 1 } }.message
  end

  # The clients' defaults are 5 s and 1 s; a parked call is longer than what is given here.
  def test_a_timeout_of_the_clients_does_not_bite_who_waits
    _, _, token = server("CACHE.GETORLOCK", "k", "LEASE", "60000")
    waiter = Thread.new { Corral.new(client(timeout: 0.2), wait: 60).get_or_build("k") { "own" } }
    sleep(3)
    assert_predicate waiter, :alive?
    server("CACHE.FILL", "k", token.to_s, '"theirs"', "EX", "60")
    assert_equal "theirs", waiter.value
  end
end

class InterruptionsTest < Minitest::Test
  include Server

  def test_whatever_ends_a_build_but_an_error_gives_the_lease_back
    cache = Corral.new(URL, lease: 120)
    ends = {
      timeout: -> { Timeout.timeout(0.05) { cache.get_or_build("k") { sleep } } },
      throw: -> { catch(:done) { cache.get_or_build("k") { throw :done } } },
      break: -> { cache.get_or_build("k") { break } },
      exit: -> { cache.get_or_build("k") { exit } },
      kill: -> { Thread.new { cache.get_or_build("k") { Thread.current.kill } }.join }
    }
    ends.each do |name, ending|
      begin
        ending.call
      rescue Timeout::Error, SystemExit
        nil
      end
      # On a busy machine the time-out comes before the grant's answer: then the closed connection ends the lease.
      wait_until("the lease of #{name} has ended") { server("CACHE.LEASES").empty? }
      assert_equal "MISS", server("CACHE.GET", "k").first, name
    end
  end

  def test_an_iterator_that_ends_in_a_build_is_a_failed_build
    assert_raises(StopIteration) { Corral.new(URL).get_or_build("k") { [].each.next } }
    assert_equal "FAIL", server("CACHE.GET", "k").first
  end

  def test_a_caller_that_times_out_while_it_waits_leaves_no_connection_out_of_step
    _, _, token = server("CACHE.GETORLOCK", "k", "LEASE", "60000")
    cache = Corral.new(URL, wait: 60)
    assert_raises(Timeout::Error) { Timeout.timeout(0.1) { cache.get_or_build("k") { 1 } } }
    server("CACHE.FILL", "k", token.to_s, "7")
    20.times { |number| assert_equal number, cache.get_or_build("n#{number}") { number } }
    assert_equal 7, cache.get_or_build("k") { 1 }
  end

  def test_a_build_that_forks_and_a_child_that_uses_the_object
    cache = Corral.new(URL)
    value = cache.get_or_build("k") do
      reading, writing = IO.pipe
      child = fork do
        writing.write(cache.get_or_build("child") { "of the child" })
        exit!
      end
      writing.close
      Process.wait(child)
      reading.read
    end
    assert_equal "of the child", value
    assert_equal "of the child", cache.get_or_build("child") { "not built" }
  end
end

class RefreshesTest < Minitest::Test
  include Server

  def test_the_hook_is_given_the_refresh
    stale("k")
    jobs = []
    cache = Corral.new(URL, swr: 60, background: ->(job) { jobs << job })
    assert_equal("old", cache.get_or_build("k") { "new" })
    jobs.first.call
    assert_equal("new", cache.get_or_build("k") { "newer" })
  end

  def test_a_hook_that_fails_gives_the_lease_back
    stale("k")
    cache = Corral.new(URL, swr: 60, logger: QUIET, background: ->(_) { raise "the queue is full" })
    assert_equal("old", cache.get_or_build("k") { "new" })
    assert_equal [], server("CACHE.LEASES")
  end

  def test_a_refresh_runs_within_rails_executor_and_with_the_callers_locale
    require "i18n"
    I18n.available_locales = %i[en de]
    wrapped = Queue.new
    rails = Module.new do
      define_singleton_method(:application) do
        Struct.new(:executor).new(Class.new { define_method(:wrap) { |&job| wrapped << :wrapped; job.call } }.new)
      end
    end
    Object.const_set(:Rails, rails)
    stale("k")
    cache = Corral.new(URL, swr: 60, logger: QUIET)
    I18n.with_locale(:de) { assert_equal("old", cache.get_or_build("k") { I18n.locale.to_s }) }
    wait_until("it is built") { server("CACHE.GET", "k").first == "HIT" }
    assert_equal '"de"', server("CACHE.GET", "k")[1]
    assert_equal :wrapped, wrapped.pop
  ensure
    Object.send(:remove_const, :Rails)
  end
end
