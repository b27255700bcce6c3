# frozen_string_literal: true

class Corral
  # What a call may say, and an object as the default of its calls. All times are seconds, or an ActiveSupport::Duration.
  class Call # :nodoc:
    DEFAULTS = {
      ttl: nil,           # fresh so long; nil is for ever. Like tags and version also something with `call`, given the value
      swr: 0.0,           # served so long past ttl while somebody rebuilds
      sie: 0.0,           # served so long past ttl while rebuilds fail
      jitter: 0,          # percent by which chance may shorten ttl
      tags: [].freeze,
      version: nil,
      group: nil,
      wait: 10.0,         # patience for somebody else's build
      lease: 10.0,        # renewed while the build runs
      backoff: nil,       # after a failed build; nil is the server's default
      on_timeout: :raise  # or :build, for oneself, not stored
    }.freeze

    attr_reader(*DEFAULTS.keys)

    # What GETORLOCK is told beside the key, made once: a hit has little else to do. How long to block is last.
    attr_reader :asking

    def initialize(options = {})
      unknown = options.keys - DEFAULTS.keys
      raise Usage, "unknown option: #{unknown.join(", ")}; known are #{DEFAULTS.keys.join(", ")}" unless unknown.empty?

      DEFAULTS.each { |name, default| instance_variable_set(:"@#{name}", taken(name, options.fetch(name, default))) }
      @asking = ["LEASE", Call.milliseconds(@lease).to_s, "TIED", *(["GROUP", @group.b] if @group), "BLOCK", Call.milliseconds([Link::SLICE, @wait].min).to_s].freeze
      freeze
    end

    def but(changes)
      changes.empty? ? self : Call.new(to_h.merge(changes))
    end

    # What FILL is told, as far as it depends on the value. What is wrong in it is raised to the build's caller.
    def fill_options(made)
      ttl = @ttl.respond_to?(:call) ? Call.seconds(:ttl, @ttl.call(made), none: true) : @ttl
      options = []
      if ttl # what is fresh for ever has no windows after it, and nothing to shorten
        options.push(*(ttl.positive? ? ["PX", Call.milliseconds(ttl)] : ["PXAT", 1])) # 0: for those who wait, not to be kept
        options.push("SWR", Call.milliseconds(@swr)) if @swr.positive?
        options.push("SIE", Call.milliseconds(@sie)) if @sie.positive?
        options.push("JITTER", @jitter) if @jitter.positive?
      end
      tags = @tags.respond_to?(:call) ? Call.tags(@tags.call(made)) : @tags
      options.push("TAGS", tags.size, *tags) unless tags.empty?
      version = @version.respond_to?(:call) ? Call.version(@version.call(made)) : @version
      options.push("VERSION", version) if version
      options
    end

    def self.tags(given)
      return [].freeze if given.nil?

      good = given.is_a?(Array) && given.all? { |tag| (tag.is_a?(String) || tag.is_a?(Symbol) || tag.is_a?(Integer)) && tag != "" && tag != :"" }
      raise Usage, "tags takes a list of texts that are not empty, not #{given.inspect}" unless good

      given.map { |tag| tag.to_s.b.freeze }.freeze
    end

    def self.version(given)
      return given if given.nil? || given.is_a?(Integer) && given >= 0

      raise Usage, "version takes a whole number, 0 and more, not #{given.inspect}"
    end

    def self.seconds(name, given, none: false)
      return nil if none && given.nil?

      value = given.is_a?(Numeric) && given.real? ? given.to_f : -1.0 # a duration says that it is a number
      raise Usage, "#{name} takes seconds, 0 and more, not #{given.inspect}" unless value >= 0 && value < 9e12

      value
    end

    # At least 1: the server takes 0 for an error where a time must be a time.
    def self.milliseconds(seconds)
      [1, (seconds * 1000).round].max
    end

    private

    def to_h
      DEFAULTS.to_h { |name, _| [name, public_send(name)] }
    end

    def taken(name, value)
      case name
      when :ttl then value.respond_to?(:call) ? value : Call.seconds(name, value, none: true)
      when :backoff then Call.seconds(name, value, none: true)
      when :swr, :sie, :wait, :lease then Call.seconds(name, value)
      when :jitter
        raise Usage, "jitter takes a percentage, 0 to 100, not #{value.inspect}" unless value.is_a?(Integer) && value.between?(0, 100)

        value
      when :tags then value.respond_to?(:call) ? value : Call.tags(value || value.inspect)
      when :version then value.respond_to?(:call) ? value : Call.version(value)
      when :on_timeout
        raise Usage, "on_timeout takes :raise or :build, not #{value.inspect}" unless %w[raise build].include?(value.to_s)

        value.to_sym
      when :group
        raise Usage, "group takes a name, not #{value.inspect}" unless value.nil? || value.is_a?(String) || value.is_a?(Symbol)

        value&.to_s
      end
    end
  end

  # What an object may say, besides the defaults of its calls.
  class Settings # :nodoc:
    DEFAULTS = {
      serializer: :json,
      degrade: true,        # build here while the server is gone; or :raise
      degrade_limit: 8,     # builds at once meanwhile
      max_waiting: 1_000,   # connections that may be parked at once, in this process
      local: 0,             # entries of the near cache
      local_ttl: 1.0,
      background: nil,      # is given a proc and has it run elsewhere
      background_limit: 8,  # refreshes at once
      on_event: nil,
      error_text: true,     # false: other processes are told a failed build's class only
      logger: nil
    }.freeze

    attr_reader(*DEFAULTS.keys)

    def initialize(options)
      DEFAULTS.each { |name, default| instance_variable_set(:"@#{name}", options.fetch(name, default)) }
      @serializer = Serializers.named(@serializer)
      @local_ttl = Call.seconds(:local_ttl, @local_ttl)
      @degrade = @degrade.to_sym if @degrade.is_a?(String)
      raise Usage, "degrade takes true or :raise, not #{@degrade.inspect}" unless [true, :raise].include?(@degrade)

      { degrade_limit: 1, max_waiting: 1, background_limit: 1, local: 0 }.each do |name, least|
        value = public_send(name)
        raise Usage, "#{name} takes #{least} and more, not #{value.inspect}" unless value.is_a?(Integer) && value >= least
      end
      { background: :call, on_event: :call, logger: :error }.each do |name, method|
        value = public_send(name)
        raise Usage, "#{name} takes something with `#{method}`, not #{value.inspect}" unless value.nil? || value.respond_to?(method)
      end
    end

    def self.split(options)
      own, others = options.partition { |name, _| DEFAULTS.key?(name) }
      [new(own.to_h), Call.new(others.to_h)]
    end

    def tell(name, key, seconds = nil, error = nil)
      @on_event&.call(Event.new(name, Corral.as_text(key), seconds, error))
    rescue *FAILURES => raised
      log(:error, "on_event raised", raised)
    end

    # No build fails because its log is full.
    def log(level, message, error = nil)
      text = error ? "#{message}: #{Corral.printed { error.full_message(highlight: false) }}" : message
      logger = @logger || (defined?(Rails) && Rails.respond_to?(:logger) && Rails.logger)
      logger ? logger.public_send(level, "corral: #{text}") : warn("corral: #{text}")
    rescue *FAILURES => raised
      warn("corral: #{text} (the logger raised #{Corral.text_of(raised)})") if logger
    end
  end

  # For `on_event`. Names: hit stale refresh built waited failed degraded not_stored. seconds: of a build or a wait.
  Event = Struct.new(:name, :key, :seconds, :error)

  # `NotShared.new(value)` from a build: this value is for its caller only, and for a while everybody builds.
  class NotShared
    attr_reader :value, :seconds

    # seconds: how long everybody builds; nil is the server's default
    def initialize(value, seconds: nil)
      @value = value
      @seconds = Call.seconds(:seconds, seconds, none: true)
    end

    # What PASS is told.
    def options # :nodoc:
      @seconds ? ["PX", Call.milliseconds(@seconds)] : []
    end
  end

  def self.as_text(key) # :nodoc:
    key.dup.force_encoding(Encoding::UTF_8).scrub
  end
end
