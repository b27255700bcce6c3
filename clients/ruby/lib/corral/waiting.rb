# frozen_string_literal: true

class Corral
  # What one caller asks for all callers of its key in this process, who wait for what it gets. No outcome: ask anew.
  class Flight # :nodoc:
    # asked: when, and at which moment of the near cache; met: [the first reply, or Failure, its connection]
    attr_accessor :outcome, :parked, :landed, :waiting, :asked, :met

    def initialize
      @outcome = @parked = @landed = nil # three have a place in the object itself, and a hit needs no more
    end
  end

  # The flights under way by key, so many of which may have a connection parked. Whoever has one holds interrupts back but
  # where it has to wait, so that a lock that is free, as it nearly always is, needs no mask and no block around what it guards.
  class Flights # :nodoc:
    NEVER = { Object => :never }.compare_by_identity.freeze

    def initialize(count)
      @count = count
      @parked = 0
      @lock = Mutex.new
      @under_way = {}
    end

    # The flight that is under way already; nil: this one is it now.
    def take_off(key, flight)
      hold
      unless (ahead = @under_way[key])
        park(flight)
        @under_way[key] = flight
      end
      @lock.unlock
      ahead
    end

    # Whether it may be parked now.
    def parks?(flight)
      return true if flight.parked

      hold
      park(flight)
      @lock.unlock
      flight.parked
    end

    # There is an answer: the room is for others.
    def answered(flight)
      hold
      leave(flight)
      @lock.unlock
    end

    def land(key, flight)
      hold
      @under_way.delete(key) if @under_way[key].equal?(flight) # not if it was forgotten, and another is under way
      leave(flight)
      flight.landed = true
      flight.waiting&.broadcast
      @lock.unlock
    end

    # Who asks from now on does not join them.
    def forget(keys)
      @lock.synchronize { keys ? keys.each { |key| @under_way.delete(key) } : @under_way.clear }
    end

    # False: not within so many seconds.
    def wait(flight, seconds)
      deadline = Corral.now + seconds
      @lock.synchronize do
        until flight.landed
          left = deadline - Corral.now
          return false if left <= 0

          (flight.waiting ||= ConditionVariable.new).wait(@lock, left) # made when there are others: nearly never
        end
      end
      true
    end

    private

    def hold
      Thread.handle_interrupt(NEVER) { @lock.lock } unless @lock.try_lock
    end

    def park(flight)
      return unless @parked < @count

      @parked += 1
      flight.parked = true
    end

    def leave(flight)
      return unless flight.parked

      @parked -= 1
      flight.parked = false
    end
  end

  # What comes of a flight: bytes, a failed build, or that each caller builds for itself.
  Failed = Struct.new(:reason, :again_at, :cause) do # :nodoc:
    def self.by(reason, milliseconds_left, cause = nil)
      new(reason, Corral.now + [0, milliseconds_left].max / 1000.0, cause)
    end

    # A new object for each caller: a backtrace belongs to one raise.
    def raise_for(key)
      raise BuildFailed.new(Corral.as_text(key), reason, [0.0, again_at - Corral.now].max), cause: cause
    end
  end
  PRIVATE = :private # :nodoc:

  # A number of places.
  class Places # :nodoc:
    def initialize(count)
      @free = count
      @lock = Mutex.new
      @left = ConditionVariable.new
    end

    def enter(seconds)
      deadline = Corral.now + seconds
      @lock.synchronize do
        until @free.positive?
          left = deadline - Corral.now
          return false if left <= 0

          @left.wait(@lock, left)
        end
        @free -= 1
      end
      true
    end

    def leave
      @lock.synchronize do
        @free += 1
        @left.signal
      end
    end
  end

  # Threads for what is built behind an answer: made when there is something to do, so many at once, and as many in turn.
  class Background # :nodoc:
    def initialize(limit)
      @limit = limit
      @jobs = []
      @held = 0 # running and in turn
      @workers = 0
      @lock = Mutex.new
    end

    # False: there are enough, each of which holds a connection.
    def add(job)
      @lock.synchronize do
        next false if @held >= 2 * @limit

        hire
        @held += 1
        @jobs << job
        true
      end
    end

    # What is built outlives the request: carried along are the locale and the trace, and nothing that ends with it. Rails'
    # executor gives database connections back after the build, and lets code be reloaded.
    def self.surroundings
      locale = defined?(I18n) && I18n.respond_to?(:locale) ? I18n.locale : nil
      trace = defined?(::OpenTelemetry::Context) ? ::OpenTelemetry::Context.current : nil
      executor = defined?(Rails) && Rails.respond_to?(:application) && Rails.application.respond_to?(:executor) ? Rails.application&.executor : nil
      lambda do |job|
        inner = locale ? -> { I18n.with_locale(locale, &job) } : job
        traced = trace ? -> { ::OpenTelemetry::Context.with_current(trace) { inner.call } } : inner
        executor ? executor.wrap { traced.call } : traced.call
      end
    end

    private

    def hire
      return if @workers >= @limit

      Thread.new { work }
      @workers += 1
    rescue ThreadError
      raise if @workers.zero? # then nobody else comes to it, either
    end

    def work
      Thread.current.name = "corral-refresh"
      while (job = @lock.synchronize { @jobs.shift || (@workers -= 1) && nil })
        job.call
        @lock.synchronize { @held -= 1 }
      end
    ensure
      @lock.synchronize { succeed } if job # which ended this thread, as by Thread.exit
    end

    def succeed
      @held -= 1
      @workers -= 1
      hire if @jobs.any?
    rescue ThreadError
      nil # the process ends, and with it what is in turn
    end
  end

  # The near cache: encoded values in this process, bounded in number and time. Neither client hands invalidation pushes
  # to others, so that what bounds staleness is `longest`; what this process invalidates is dropped at once.
  class Near # :nodoc:
    attr_reader :moment # grows with each invalidation

    def initialize(size, longest)
      @size = size
      @longest = longest
      @entries = {}
      @lock = Mutex.new
      @moment = 0
    end

    def get(key)
      @lock.synchronize do
        until_when, bytes = @entries.delete(key)
        next if until_when.nil? || until_when <= Corral.now

        @entries[key] = [until_when, bytes] # at the end: used last
        bytes
      end
    end

    # Fresh for so long since `since`, when the request was sent that brought the value or stored it. An invalidation after
    # `moment` may be newer than the value.
    def put(key, bytes, fresh, moment, since)
      @lock.synchronize do
        next if moment != @moment

        @entries.delete(key)
        @entries[key] = [since + [fresh, @longest].min, bytes]
        @entries.shift if @entries.size > @size
      end
    end

    # nil is all of them: nobody here knows which carry a tag.
    def drop(keys)
      @lock.synchronize do
        @moment += 1
        keys ? keys.each { |key| @entries.delete(key) } : @entries.clear
      end
    end
  end
end
