# frozen_string_literal: true

# With the gem installed, over redis-client or redis-rb (LIBRARY), against REDIS_URL.

require "minitest/autorun"
require "connection_pool"
require "timeout"
require ENV.fetch("LIBRARY", "redis").tr("-", "_")
require "corral"
require "corral/telemetry"

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
      { ttl: Time.now } => /ttl takes seconds/, { ttl: 1i } => /ttl takes seconds/, { tags: [nil] } => /tags takes a list/, { tags: [""] } => /tags takes a list/,
      { tags: nil } => /tags takes a list/, { version: 1.5 } => /version takes a whole number/, { version: -1 } => /version takes a whole number/,
      { group: 5 } => /group takes a name/, { on_timeout: nil } => /on_timeout takes :raise or :build/, { local: "5" } => /local takes 0 and more/,
      { local: -1 } => /local takes 0 and more/, { on_event: 5 } => /on_event takes something with `call`/, { background: :x } => /background takes something/,
      { logger: 5 } => /logger takes something with `error`/, { degrade: false } => /degrade takes true or :raise/, { degrade_limit: 0 } => /degrade_limit takes 1 and more/, { serializer: :yaml } => /serializer takes :json/
    }.each do |options, said|
      assert_match(said, assert_raises(Corral::Usage) { Corral.new(URL, **options) }.message)
    end
  end

  def test_the_middlewares_of_redis_client_see_every_call
    skip "redis-rb 4 has none" unless defined?(RedisClient)

    reading, writing = IO.pipe
    Process.wait(fork do # for they are those of the process, for ever
      seen = []
      RedisClient.register(Module.new { define_method(:call) { |words, config, &block| seen << words.first && super(words, config, &block) } })
      cache = Corral.new(URL)
      2.times { cache.get_or_build("k") { 1 } }
      writing.write(seen.count("CACHE.GETORLOCK"))
      exit!
    end)
    writing.close
    assert_equal "2", reading.read
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

  def test_the_same_text_makes_the_same_key_in_every_encoding_and_bytes_are_taken_too
    cached = Corral.new(URL, ttl: 60).cached("é:{x}", tags: ["é:{x}"]) { |x| x.bytesize }
    keys = ["é:ü".encode("UTF-16LE"), "é:ü".encode("ISO-8859-1"), "é:ü", "é:ü".b].map { |text| cached.key(text) }
    assert_equal ["é:é%3Aü"], keys.uniq
    assert_equal [2, 2], Array.new(2) { cached.call("\xFF\xFE".b) }
    assert_raises(Corral::Usage) { Corral.new(URL).cached(:report) { 1 } }
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
    assert_equal ["built k", "hit k", "failed bad"], seen - ["waited k"] # as a hit does on a busy machine
  end

  def test_what_is_wrong_with_tags_and_versions_is_said_and_nothing_of_it_is_taken_for_something_else
    cache = Corral.new(URL, backoff: 60)
    { tags: ->(_) { ["a", nil] }, version: ->(_) { 1.9 } }.each do |name, wrong|
      assert_match(/#{name} takes a/, assert_raises(Corral::Usage) { cache.get_or_build(name, name => wrong) { 1 } }.message)
      assert_equal "FAIL", server("CACHE.GET", name.to_s).first
    end
    [-> { cache.outdate("k", 1.5) }, -> { cache.outdate("k", nil) }, -> { cache.invalidate_tags(nil) }, -> { cache.invalidate_tags(Object.new) },
     -> { Corral::NotShared.new(1, seconds: "60") }].each { |wrong| assert_raises(Corral::Usage, &wrong) }
  end

  def test_what_the_server_refuses_in_a_verdict_is_told_as_a_failed_build
    cache = Corral.new(URL, logger: QUIET)
    assert_raises(KeyError) { cache.get_or_build("k", backoff: 1e9) { {}.fetch(:x) } }
    assert_equal 1, cache.get_or_build("l", tags: ["x" * 300]) { 1 }
    { "k" => /BACKOFF must be/, "l" => /tag must be/ }.each do |key, said|
      state, message, = server("CACHE.GET", key)
      assert_equal ["FAIL", said.source], [state, message[said]]
    end
  end

  def test_a_serializer_that_makes_no_text_is_a_failed_build
    serializer = Class.new { def dump(_value) = nil; def load(bytes) = bytes }.new
    assert_match(/made a NilClass/, assert_raises(TypeError) { Corral.new(URL, backoff: 60, serializer: serializer).get_or_build("k") { 1 } }.message)
    assert_equal ["FAIL", []], [server("CACHE.GET", "k").first, server("CACHE.LEASES")]
  end

  def test_callers_share_no_value_even_if_the_serializer_would
    serializer = Class.new { def dump(value) = value; def load(bytes) = bytes }.new
    cache = Corral.new(URL, serializer: serializer, local: 10, local_ttl: 60)
    3.times { assert_raises(FrozenError) { cache.get_or_build("k") { +"mine" } << "!" } }
  end

  class Unprintable < StandardError
    def message = raise("no text")
    alias to_s message
    alias full_message message
  end

  def test_an_error_that_cannot_be_printed_is_a_failed_build_like_any_other
    cache = Corral.new(URL, backoff: 60, sie: 60, logger: QUIET)
    [Unprintable.new, Class.new(StandardError) { def message = nil }.new, StandardError.new("\xFF\xFE"), StandardError.new("é".encode("UTF-16LE"))].each_with_index do |error, number|
      assert_same error, assert_raises(error.class) { cache.get_or_build("k#{number}") { raise error } }
      assert_equal "FAIL", server("CACHE.GET", "k#{number}").first
      server("CACHE.SET", "old#{number}", '"old"', "PX", "1", "SIE", "60000")
      wait_until("it is over") { server("CACHE.GET", "old#{number}").first != "HIT" }
      assert_equal "old", cache.get_or_build("old#{number}") { raise error }
    end
    assert_equal [], server("CACHE.LEASES")
  end

  def test_no_call_fails_because_the_hook_or_the_logger_does
    broken = Class.new { def error(_) = raise("the disk is full"); alias warn error }.new
    gone = Corral.new("redis://127.0.0.1:1", logger: broken)
    here = Corral.new(URL, logger: broken, on_event: ->(_) { raise NotImplementedError })
    _, said = capture_io { assert_equal [1, 2], [gone.get_or_build("k") { 1 }, here.get_or_build("k") { 2 }] }
    assert_match(/the server is out.*the logger raised RuntimeError: the disk is full/m, said)
  end

  def test_the_hook_may_ask_for_the_key_of_a_hit
    cache = seen = nil
    cache = Corral.new(URL, wait: 60, on_event: lambda do |event|
      next unless event.name == :hit && seen.nil?

      seen = 0 # of this call, too, it is told
      seen = cache.get_or_build("k") { 2 }
    end)
    assert_equal [1, 1, 1], [cache.get_or_build("k") { 1 }, cache.get_or_build("k") { 1 }, seen]
  end

  def test_the_hook_that_asks_for_what_is_being_built_is_told_so_at_once
    refused = nil
    cache = Corral.new(URL, wait: 60, logger: QUIET, on_event: lambda do |event|
      cache.get_or_build("k") { 2 } if event.name == :built
    rescue Corral::RecursiveBuild => error
      refused = error
    end)
    assert_equal 1, cache.get_or_build("k") { 1 }
    assert_match(/would wait for itself/, refused.message)
  end

  def test_objects_that_were_closed_leave_no_connection_and_no_thread
    before = server("CLIENT", "LIST").lines.size
    20.times { |number| Corral.new(URL).tap { |cache| cache.get_or_build("k#{number}") { 1 } }.close }
    wait_until("their threads have ended") { Thread.list.none? { |thread| thread.name == "corral-renewals" } }
    assert_operator server("CLIENT", "LIST").lines.size, :<=, before
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

  def test_a_verdict_to_a_server_that_hangs_is_not_spoken_twice
    pid = server("INFO", "server")[/process_id:(\d+)/, 1].to_i
    received = -> { server("INFO", "stats")[/total_connections_received:\d+/] }
    failure = nil
    [30, 1].each do |lease| # without a renewal under way, and with one
      cache = Corral.new(URL, lease: lease, logger: QUIET, on_event: ->(event) { failure = event.error if event.name == :not_stored })
      cache.get_or_build("warm") { 1 }
      before = received.call
      assert_equal(5, cache.get_or_build("k#{lease}") { Process.kill(:STOP, pid) && sleep(lease == 1 ? 1 : 0) && 5 })
      Process.kill(:CONT, pid)
      assert_match(/no answer in time/, failure.message)
      assert_equal before, received.call
    end
  ensure
    Process.kill(:CONT, pid)
  end

  def test_a_server_that_is_full_is_out
    before = server("CONFIG", "GET", "maxclients")
    before = before.is_a?(Hash) ? before["maxclients"] : before[1]
    server("CONFIG", "SET", "maxclients", "1")
    out = assert_raises(Corral::Unavailable) { Corral.new(URL, degrade: :raise).get_or_build("k") { 1 } }
    assert_match(/max number of clients|closed|lost/i, out.message)
  ensure
    server("CONFIG", "SET", "maxclients", before)
  end

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

  class Stopped < Exception # rubocop:disable Lint/InheritException
  end

  # From the first line of a call to its last: in a hit, a build, a wait for another's build, and after each.
  def test_callers_that_are_interrupted_at_any_moment_leave_nothing_behind
    reported, Thread.report_on_exception = Thread.report_on_exception, false
    cache = Corral.new(URL, wait: 60, lease: 120, logger: QUIET)
    cache.get_or_build("hit") { 1 }
    callers = Array.new(300) do |number|
      Thread.new do
        Timeout.timeout(rand(0.001..0.02)) do
          20.times { cache.get_or_build("hit") { 1 } }
          cache.get_or_build("k#{number % 3}", ttl: 0) { sleep(0.001) } while true
        end
      rescue Timeout::Error
        :timed_out
      rescue Corral::BuildFailed # the server saw so many of its holders vanish, one after the other
        :refused
      end.tap do |thread|
        sleep(rand(0.0..0.003))
        [-> { thread.kill }, -> { thread.raise(Stopped) }, -> {}][number % 3].call
      end
    end
    endings = callers.map do |thread|
      assert thread.join(60), "a caller hangs"
      thread.value || :killed
    rescue Stopped
      :stopped
    end
    assert_equal %i[killed stopped timed_out], endings.uniq.sort - [:refused]
    flights = cache.engine.instance_variable_get(:@flights)
    assert_equal [{}, 0, false], [*%i[@under_way @parked].map { |name| flights.instance_variable_get(name) }, flights.instance_variable_get(:@lock).locked?]
    wait_until("no lease is left") { server("CACHE.LEASES").empty? }
    assert_equal [1, 7], [cache.get_or_build("hit") { 2 }, cache.get_or_build("after") { 7 }]
  ensure
    Thread.report_on_exception = reported
  end

  def test_a_version_and_an_invalidation_that_were_not_taken_are_told_again
    cache = Corral.new(URL, ttl: 60, swr: 60, logger: QUIET)
    [-> { cache.outdate("k", 9) }, -> { cache.invalidate("k") }].each do |tell|
      cache.refresh("k") { 1 }
      outage = cache.engine.server.topology.node("k").outage
      outage.instance_variable_set(:@pause, 60.0) # as if it had been tried in vain for long
      outage.begin("refused")
      tell.call
      assert_equal "STALE", server("CACHE.GET", "k").first
    end
    lost = Corral.new("redis://127.0.0.1:1", logger: QUIET)
    [-> { lost.outdate("k", 9) }, -> { lost.invalidate("k", "l") }].each do |tell|
      assert_match(/127.0.0.1:1 /, assert_raises(Corral::NotAllAnswered, &tell).message)
    end
  end

  def test_a_near_copy_is_as_old_as_its_question
    near = Corral::Near.new(10, 1.0)
    near.put("k", "v", 60.0, near.moment, Corral.now - 1.1)
    assert_nil near.get("k")
    near.put("k", "v", 60.0, near.moment, Corral.now)
    assert_equal "v", near.get("k")
  end

  def test_callers_of_one_key_share_one_request_also_for_a_hit
    cache = Corral.new(URL)
    cache.get_or_build("k") { { "n" => 1 } }
    server("CONFIG", "RESETSTAT")
    server("CLIENT", "PAUSE", "500", "ALL")
    values = Array.new(20) { Thread.new { cache.get_or_build("k") { "own" } } }.map(&:value)
    assert_equal [{ "n" => 1 }] * 20, values
    assert_equal 20, values.map(&:object_id).uniq.size
    assert_match(/calls=1,/, server("INFO", "commandstats")[/cache\.getorlock:\S+/i])
  end

  def test_a_child_that_leaves_its_parents_build_has_no_say_in_it
    cache = Corral.new(URL, lease: 120)
    parent = Process.pid
    endings = { returned: -> { "of the child" }, raised: -> { raise "of the child" }, thrown: -> { throw :done } }
    endings.each do |name, ending|
      value = catch(:done) do
        cache.get_or_build(name) do
          child = fork
          next ending.call unless child

          Process.wait(child)
          "of the parent"
        end
      rescue RuntimeError
        nil
      end
      exit! unless Process.pid == parent
      assert_equal ["of the parent", '"of the parent"'], [value, server("CACHE.GET", name.to_s)[1]]
    end
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

  def test_refreshes_that_are_too_many_are_left_to_those_who_ask_next
    gate = Queue.new
    before = server("CLIENT", "LIST").lines.size
    cache = Corral.new(URL, swr: 60, background_limit: 2, logger: QUIET)
    keys = Array.new(12) { |number| "k#{number}".tap { |key| stale(key) } }
    keys.each { |key| assert_equal "old", cache.get_or_build(key) { gate.pop } }
    wait_until("two run and two are in turn") { server("CACHE.LEASES").size == 4 }
    assert_operator server("CLIENT", "LIST").lines.size, :<=, before + 5
    12.times { gate << "new" }
    wait_until("all are built") { keys.all? { |key| cache.get_or_build(key) { "new" } == "new" } }
  end

  def test_a_refresh_that_ends_its_thread_has_a_successor
    cache = Corral.new(URL, swr: 60, background_limit: 1, logger: QUIET)
    stale("k")
    assert_equal("old", cache.get_or_build("k") { Thread.exit })
    wait_until("the lease has ended") { server("CACHE.LEASES").empty? }
    assert_equal("old", cache.get_or_build("k") { "new" })
    wait_until("it is built") { server("CACHE.GET", "k").first == "HIT" }
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

# OpenTelemetry's gems are no packages of Debian's: this records what the methods of their interfaces are told that are called.
module OpenTelemetry
  module Trace
    Status = Struct.new(:word) { def self.error(_description = "") = new("error") } unless const_defined?(:Status)
  end
end

class Recorded
  def initialize(said, of = "")
    @said = said
    @of = of
  end

  def create_counter(name, unit: nil, description: nil) # rubocop:disable Lint/UnusedMethodArgument
    Recorded.new(@said, name)
  end

  def create_histogram(name, unit: nil, description: nil) # rubocop:disable Lint/UnusedMethodArgument
    Recorded.new(@said, "#{name} in #{unit}")
  end

  def add(increment, attributes: nil)
    @said << "#{@of} +#{increment} #{attributes}"
  end

  def record(amount, attributes: nil) # rubocop:disable Lint/UnusedMethodArgument
    @said << "#{@of} took #{amount.between?(0.01, 60) ? "its time" : amount}"
  end

  def start_span(name, with_parent: nil, attributes: nil, links: nil, start_timestamp: nil, kind: nil) # rubocop:disable Lint/UnusedMethodArgument
    ago = Time.now - start_timestamp
    Recorded.new(@said, "#{name}#{" begun #{ago} s ago" unless ago.between?(0.01, 60)} #{attributes}")
  end

  def record_exception(exception, attributes: nil) # rubocop:disable Lint/UnusedMethodArgument
    @of += " #{exception.message}"
  end

  def status=(status)
    @of += " #{status.word}"
  end

  def finish(end_timestamp: nil) # rubocop:disable Lint/UnusedMethodArgument
    @said << @of
  end
end

class TelemetryTest < Minitest::Test
  include Server

  def setup
    super
    @said = []
    recorded = Recorded.new(@said)
    @cache = Corral.new(URL, ttl: 60, backoff: 60, on_event: Corral::Telemetry.new(recorded, recorded))
  end

  def test_calls_are_counted_and_a_build_is_a_span
    @cache.get_or_build("k") { sleep(0.02) }
    assert_equal ['corral.events +1 {"name"=>"built"}', "corral.build in s took its time", 'corral build {"corral.key"=>"k"}'], @said
    @cache.get_or_build("k") { "never" }
    assert_equal 'corral.events +1 {"name"=>"hit"}', @said.last # on a busy machine it may have waited, too
  end

  def test_a_failed_build_is_a_span_with_its_error
    assert_raises(KeyError) { @cache.get_or_build("k") { sleep(0.02) && raise(KeyError, "no such row") } }
    assert_equal [
      'corral.events +1 {"name"=>"failed"}', "corral.build in s took its time", 'corral build {"corral.key"=>"k"} no such row error'
    ], @said
  end

  def test_a_wait_for_anothers_build_is_a_span
    _, _, token = server("CACHE.GETORLOCK", "k", "LEASE", "60000")
    waiter = Thread.new { @cache.get_or_build("k", wait: 60) { "own" } }
    wait_until("it waits") { server("INFO", "corral").include?("corral_waiters:1") }
    sleep(0.02)
    server("CACHE.FILL", "k", token.to_s, '"theirs"')
    assert_equal "theirs", waiter.value
    assert_equal [
      'corral.events +1 {"name"=>"waited"}', "corral.wait in s took its time", 'corral wait {"corral.key"=>"k"}',
      'corral.events +1 {"name"=>"hit"}'
    ], @said
  end
end
