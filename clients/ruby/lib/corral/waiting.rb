# frozen_string_literal: true

class Corral
  # The callers of one key in this process: one asks, the others wait for what it gets. No outcome: ask anew.
  class Flight # :nodoc:
    attr_accessor :outcome

    # flights: those under way, by key; rooms: those to be parked in; both guarded by the engine's lock.
    def initialize(key, flights, rooms, lock)
      @key = key
      @flights = flights
      @rooms = rooms
      @lock = lock
      @parks = @landed = false
    end

    # The flight that is under way already; nil: this one is it now.
    def take_off
      @lock.synchronize do
        ahead = @flights[@key]
        next ahead if ahead

        @parks = @rooms.take(self)
        @flights[@key] = self
        nil
      end
    end

    # Whether it may be parked now.
    def parks?
      @parks ||= @lock.synchronize { @rooms.take(self) }
    end

    # There is an answer: the room is for others.
    def answered
      @lock.synchronize { @rooms.give(self) }
    end

    def land
      @lock.synchronize do
        @flights.delete(@key) if @flights[@key].equal?(self) # not if it was forgotten, and another is under way
        @rooms.give(self)
        @landed = true
        @waiting&.broadcast
      end
    end

    def landed?
      @landed
    end

    # False: not within so many seconds.
    def wait(seconds)
      deadline = Corral.now + seconds
      @lock.synchronize do
        until @landed
          left = deadline - Corral.now
          return false if left <= 0

          (@waiting ||= ConditionVariable.new).wait(@lock, left) # made when there are others: nearly never
        end
      end
      true
    end
  end

  # The flights that may have a connection parked, so many at once.
  class Rooms # :nodoc:
    def initialize(count)
      @count = count
      @taken = {}.compare_by_identity
    end

    def take(flight)
      @taken.size < @count && @taken[flight] = true
    end

    def give(flight)
      @taken.delete(flight)
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

  # Threads for what is built behind an answer: made when there is something to do, so many at once.
  class Background # :nodoc:
    def initialize(limit)
      @limit = limit
      @jobs = []
      @workers = 0
      @lock = Mutex.new
    end

    # It outlives the request: what is carried along is the locale and the trace, and nothing that ends with it.
    def add(&job)
      around = Background.surroundings
      @lock.synchronize do
        @jobs << -> { around.call(&job) }
        next if @workers >= @limit

        @workers += 1
        begin
          Thread.new { work }
        rescue ThreadError
          @workers -= 1
          raise if @workers.zero?
        end
      end
    end

    # Rails' executor gives database connections back after the build, and lets code be reloaded.
    def self.surroundings
      locale = defined?(I18n) && I18n.respond_to?(:locale) ? I18n.locale : nil
      trace = defined?(::OpenTelemetry::Context) ? ::OpenTelemetry::Context.current : nil
      executor = defined?(Rails) && Rails.respond_to?(:application) && Rails.application.respond_to?(:executor) ? Rails.application&.executor : nil
      lambda do |&job|
        inner = locale ? -> { I18n.with_locale(locale, &job) } : job
        traced = trace ? -> { ::OpenTelemetry::Context.with_current(trace) { inner.call } } : inner
        executor ? executor.wrap { traced.call } : traced.call
      end
    end

    private

    def work
      Thread.current.name = "corral-refresh"
      while (job = @lock.synchronize { @jobs.shift || (@workers -= 1) && nil })
        job.call
      end
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
