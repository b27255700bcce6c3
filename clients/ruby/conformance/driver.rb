# frozen_string_literal: true

# The Ruby driver of clients/conformance (its README says what a driver does).
#
# usage: ruby driver.rb redis-client|redis-rb        with the gem installed, or in RUBYLIB

require "base64"
require "json"

LIBRARY = ARGV.fetch(0)
if LIBRARY == "redis-client"
  require "redis_client"
  begin
    require "redis_cluster_client"
  rescue LoadError
    nil
  end
else
  require "redis"
end
require "corral"

class BuildError < StandardError
end

class Cancelled < Exception # rubocop:disable Lint/InheritException
end

class Unsupported < StandardError
end

# What a child process answered.
class Answered < StandardError
  attr_reader :error

  def initialize(error)
    @error = error
    super("an error of a child")
  end
end

class Gate
  def initialize
    @lock = Mutex.new
    @opened = ConditionVariable.new
    @open = false
  end

  def open
    @lock.synchronize do
      @open = true
      @opened.broadcast
    end
    nil
  end

  def wait
    @lock.synchronize { @opened.wait(@lock) until @open }
  end
end

class Driver
  HAS = %w[sentinel concurrent cancel fork at_fork renew background local unencodable closures cluster tls error_text].freeze
  QUICK = %w[hello open gate events].freeze
  KINDS = {
    BuildError => "Build", Corral::BuildFailed => "BuildFailed", Corral::WaitTimeout => "WaitTimeout",
    Corral::ModuleMissing => "ModuleMissing", Corral::NoPermission => "NoPermission", Corral::NotAllAnswered => "NotAllAnswered",
    Corral::RecursiveBuild => "Recursion", Corral::Unavailable => "Server", Corral::Usage => "Usage", Cancelled => "Cancelled",
    JSON::GeneratorError => "Encoding", Unsupported => "Unsupported"
  }.freeze

  def initialize
    @objects = {}
    @serializers = {}
    @functions = {}
    @seen = {}
    @calls = {}
    @gates = Hash.new { |gates, name| gates[name] = Gate.new }
    @lock = Mutex.new
    @writing = Mutex.new
  end

  def main
    $stdin.each_line do |line|
      request = JSON.parse(line)
      if QUICK.include?(request["do"])
        say(answer(request) { perform(request) })
      else
        @calls[request["id"]] = Thread.new do
          Thread.handle_interrupt(Cancelled => :never) do
            # Nothing of the driver's own is cancelled, only the call: also before it has begun.
            say(answer(request) { Thread.handle_interrupt(Cancelled => :immediate) { perform(request) } })
          end
        end
      end
    end
    Process.kill(:KILL, Process.pid)
  end

  private

  def say(message)
    @writing.synchronize do
      $stdout.puts(JSON.generate(message))
      $stdout.flush
    end
  end

  def answer(request)
    { "id" => request["id"], "value" => yield }
  rescue Answered => error
    { "id" => request["id"], "error" => error.error }
  rescue Exception => error # rubocop:disable Lint/RescueException
    { "id" => request["id"], "error" => described(error) }
  end

  def described(error)
    type = KINDS.find { |kind, _| error.is_a?(kind) }&.last || "Other"
    message = type == "Other" ? error.full_message(highlight: false) : error.message
    told = { "type" => type, "message" => message }
    type == "BuildFailed" ? told.merge("retry_after" => error.retry_after) : told
  end

  def perform(request)
    name = request.fetch("corral", "c")
    corral = @objects[name]
    function = @functions[request["function"]]
    args = request.fetch("args", [])
    case request["do"]
    when "hello" then hello
    when "open" then open(request)
    when "close" then corral.close
    when "get_or_build" then of_bytes(name, mutated(request, get(name, request["key"], request["options"], request["build"], request["id"])))
    when "define" then define(request, corral, name)
    when "call" then function.call(*args)
    when "refresh" then function.refresh(*args)
    when "key" then function.key(*args)
    when "invalidate_call" then function.invalidate(*args)
    when "invalidate" then corral.invalidate(*request["keys"])
    when "invalidate_tags" then corral.invalidate_tags(*request["tags"], swr: request["swr"])
    when "outdate" then corral.outdate(request["key"], request["version"])
    when "check" then corral.check.then { |told| { "version" => told.version, "missing" => told.missing } }
    when "gate" then gate(request["gate"]).open
    when "events" then @lock.synchronize { @seen[name].dup }
    when "cancel" then @calls.fetch(request["call"]).raise(Cancelled, "cancelled") && nil
    when "fork" then forked(request["then"])
    else raise Unsupported, request["do"]
    end
  end

  def gate(name)
    @lock.synchronize { @gates[name] }
  end

  def hello
    version = LIBRARY == "redis-client" ? RedisClient::VERSION : Redis::VERSION
    has = HAS.dup
    has << "resp3" if LIBRARY == "redis-client"
    has.delete("cluster") if LIBRARY == "redis-client" && !defined?(RedisClient::Cluster)
    { "language" => "ruby", "library" => "#{LIBRARY} #{version}, Ruby #{RUBY_VERSION}", "has" => has }
  end

  def open(request)
    name = request["corral"]
    options = options_of(request["options"])
    @seen[name] = []
    @serializers[name] = options[:serializer]
    told = ->(event) { @lock.synchronize { @seen[name] << event.name } }
    @objects[name] = Corral.new(client(request), **options, on_event: told)
    nil
  end

  # Clients as each library makes them.
  def client(request)
    uri = URI(request["url"])
    login = uri.user ? { username: uri.user, password: uri.password } : {}
    resp = LIBRARY == "redis-client" ? { protocol: request["resp"] } : {}
    addresses = ->(texts) { texts.map { |text| text.split(":").then { |host, port| { host: host, port: port.to_i } } } }
    case [LIBRARY, request["topology"]]
    when %w[redis-client cluster] then RedisClient.cluster(nodes: request["nodes"].map { |node| "redis://#{node}" }, **login, **resp)
    when %w[redis-client sentinel] then RedisClient.sentinel(name: request["service"], sentinels: addresses.call(request["sentinels"]), **login, **resp)
    when %w[redis-rb cluster] then Redis.new(cluster: request["nodes"].map { |node| "redis://#{node}" }, **login)
    when %w[redis-rb sentinel] then Redis.new(url: "redis://#{request["service"]}", sentinels: addresses.call(request["sentinels"]), **login)
    else
      ssl = request["ca"] ? { ssl_params: { ca_file: request["ca"] } } : {}
      LIBRARY == "redis-client" ? RedisClient.new(url: request["url"], **resp, **ssl) : Redis.new(url: request["url"], **ssl)
    end
  end

  def options_of(given)
    (given || {}).to_h { |name, value| [name.to_sym, %w[raise build json bytes].include?(value) ? value.to_sym : value] }
  end

  def get(of, key, options, script, call)
    @objects[of].get_or_build(key, **options_of(options), &build(of, key, script, call))
  end

  def define(request, corral, name)
    script = request["build"]
    made = nil
    run = ->(args) { build(name, made.key(*args), script, request["id"]).call }
    parameters = request["parameters"].join(", ")
    function = binding.eval("lambda { |#{parameters}| run.call([#{parameters}]) }")
    made = @functions[request["function"]] = corral.cached(request["template"], function, **options_of(request["options"]))
    nil
  end

  def build(of, key, script, call)
    lambda do
      say({ "event" => "begun", "key" => key, "call" => call, "at" => Corral.now })
      script.reduce(nil) { |_, action| act(of, action, call) }
    ensure
      say({ "event" => "ended", "key" => key, "call" => call, "at" => Corral.now })
    end
  end

  def act(of, action, call)
    word = %w[wait_for sleep get_or_build return_unencodable raise exit fork].find { |name| action.key?(name) }
    told = action[word]
    case word
    when "wait_for" then gate(told).wait
    when "sleep" then sleep(told)
    when "get_or_build" then get(of, told["key"], told["options"], told["build"], call)
    when "return_unencodable" then Object.new
    when "raise" then raise BuildError, told
    when "exit" then Process.kill(:KILL, Process.pid)
    when "fork"
      fork do
        sleep(told)
        Process.kill(:KILL, Process.pid)
      end
    else action["not_shared"] ? Corral::NotShared.new(given(action["return"])) : given(action["return"])
    end
  end

  def given(value)
    value.is_a?(Hash) && value.key?("$bytes") ? Base64.decode64(value["$bytes"]) : value
  end

  def of_bytes(name, value)
    @serializers[name] == :bytes ? { "$bytes" => Base64.strict_encode64(value) } : value
  end

  def mutated(request, value)
    return value unless request["mutate"]

    value << "mutated"
    sleep(0.1)
    value
  end

  def forked(request)
    reading, writing = IO.pipe
    child = fork do
      @writing = Mutex.new
      mine = request.merge("id" => -1)
      writing.write(JSON.generate(answer(mine) { perform(mine) }))
      writing.close
      Process.kill(:KILL, Process.pid)
    end
    writing.close
    told = JSON.parse(reading.read)
    Process.wait(child)
    raise Answered, told["error"] if told.key?("error")

    told["value"]
  end
end

$stdout.sync = true
Driver.new.main
