# frozen_string_literal: true

class Corral
  # What a call does in each state. One for each process, made at the first call in it.
  class Engine # :nodoc:
    # A failed build. What else ends one (an interrupt, exit, throw) says nothing about the source.
    FAILURES = [StandardError, ScriptError, NoMemoryError, SecurityError, SystemStackError].freeze

    WHEN_WAITING = { Object => :on_blocking }.freeze
    AT_ONCE = { Object => :immediate }.freeze
    NEVER = { Object => :never }.freeze

    attr_reader :server, :leases, :settings

    def initialize(servers, settings)
      @settings = settings
      @codec = settings.serializer
      @server = Server.new(servers)
      @leases = Leases.new(@server, settings)
      @flights = { false => {}, true => {} } # by whether they are forced, by key
      @lock = Mutex.new
      @rooms = Rooms.new(settings.max_waiting)
      @places = Places.new(settings.degrade_limit)
      @background = Background.new(settings.background_limit)
      @near = settings.local.positive? ? Near.new(settings.local, settings.local_ttl) : nil
      @out = false
    end

    # force: build although it is fresh, unless `unless_` says of the bytes there that they will do after all.
    def get_or_build(key, o, build, force: false, unless_: nil)
      if Thread.current[:corral_building]&.include?([self, key])
        raise RecursiveBuild, "the build of #{Corral.as_text(key)} asks for #{Corral.as_text(key)}, and would wait for itself"
      end
      if @near && !force && (bytes = @near.get(key))
        @settings.tell(:hit, key)
        return @codec.load(bytes)
      end
      deadline = Corral.now + o.wait
      while true # not loop, which takes a build's StopIteration for its own
        flight = Flight.new(key, @flights[force], @rooms, @lock)
        ahead = nil
        # Two interrupts may come at once, as of a Timeout and a kill: none between a flight's beginning and its end but
        # where something is waited for.
        Thread.handle_interrupt(NEVER) do
          unless (ahead = flight.take_off)
            begin
              return lead(flight, key, o, build, deadline, force, unless_)
            ensure
              flight.land unless flight.landed?
            end
          end
        end
        return impatient(key, o, build) unless ahead.wait(deadline - Corral.now)

        case (outcome = ahead.outcome)
        when String then return @codec.load(outcome)
        when Failed then outcome.raise_for(key)
        when PRIVATE then return alone(key, build)
        end
      end
    end

    # Who asks after an invalidation must not join a build that began before it.
    def forgetting(keys)
      forget(keys)
      yield
    ensure
      forget(keys)
    end

    private

    def forget(keys)
      @near&.drop(keys)
      @lock.synchronize { @flights.each_value { |flights| keys ? keys.each { |key| flights.delete(key) } : flights.clear } }
    end

    # --- The one that asks ---

    def lead(flight, key, o, build, deadline, force, unless_)
      asked = @near && [@near.moment, Corral.now]
      if !force && flight.parks? && (link = @server.idle(key)) # nearly always, and nearly always it is a hit
        begin
          reply = Thread.handle_interrupt(AT_ONCE) { link.ask(["CACHE.GETORLOCK", key, *o.asking]) }
        rescue Failure => failure
          reply = failure
        end
        if reply.is_a?(Array) && reply[0] == "HIT" && Corral.now - deadline + o.wait < Leases::WAIT_WORTH_TELLING
          taken = true
          link.node.give(link)
          return fresh(flight, key, reply[1], reply[2], asked)
        end
      end
      # No grant is lost between its arrival and its lease.
      Thread.handle_interrupt(WHEN_WAITING) do
        taken = true
        lead_on(flight, key, o, build, deadline, force, unless_, asked, link && [reply, link])
      end
    ensure
      link.close if link && !taken # interrupted: should it be a grant, the tie ends it
    end

    # met: what the first attempt has met already.
    def lead_on(flight, key, o, build, deadline, force, unless_, asked, met)
      begin
        answer = @leases.ask(key, o, deadline, flight, force: force ? %w[FORCE NOSTALE] : [], met: met)
        flight.answered
      rescue Unavailable => outage
        raise if @settings.degrade == :raise

        say_out(key, outage)
        return build_without_server(flight, key, o, build, deadline)
      end
      back if @out
      if answer.lease
        return build(answer.lease, flight, o, build, asked) if answer.state == "LOCK" || force && !unless_&.call(answer.value)

        return build_behind(answer, flight, o, build, asked, force)
      end
      case answer.state
      when "HIT" then fresh(flight, key, answer.value, answer.number, asked)
      when "STALE"
        @settings.tell(:stale, key)
        flight.outcome = answer.value
        @codec.load(answer.value)
      when "PASS"
        flight.outcome = PRIVATE
        alone(key, build)
      when "FAIL"
        flight.outcome = Failed.by(Corral.as_text(answer.value), answer.number)
        flight.outcome.raise_for(key)
      else # WAIT: the patience is over. No outcome: the next one asks anew
        impatient(key, o, build)
      end
    end

    def fresh(flight, key, bytes, left, asked)
      @settings.tell(:hit, key) if @settings.on_event
      flight.outcome = bytes
      flight.land
      @near&.put(key, bytes, left.negative? ? Float::INFINITY : left / 1000.0, *asked)
      @codec.load(bytes)
    end

    # --- Building ---

    def build(lease, flight, o, build, asked)
      @leases.renew(lease, o.lease)
      began = Corral.now
      concluded = false
      begin
        made = call(lease.key, build)
        shared = !made.is_a?(NotShared)
        bytes = @codec.dump(shared ? made : made.value)
        options = shared ? o.fill_options(made) : []
        need(lease.key, options)
      rescue *FAILURES => error
        # Also what the serializer refuses: a released lease would have every waiter build it again.
        concluded = true
        return failed(lease, flight, error, o, Corral.now - began)
      end
      @settings.tell(:built, lease.key, Corral.now - began)
      concluded = true
      if shared
        flight.outcome = bytes
        filled_at = Corral.now
        stored = @leases.conclude(lease, "CACHE.FILL", bytes.b, *options)
        fresh = o.ttl.nil? ? Float::INFINITY : o.ttl * (1 - o.jitter / 100.0) unless o.ttl.respond_to?(:call)
        @near&.put(lease.key, bytes, fresh, asked.first, filled_at) if stored && fresh
      else
        flight.outcome = PRIVATE
        @leases.conclude(lease, "CACHE.PASS", *(made.seconds ? ["PX", Call.milliseconds(made.seconds)] : []))
      end
      @codec.load(bytes)
    ensure
      @leases.conclude(lease, "CACHE.RELEASE") unless concluded
    end

    # Tags and versions are asked of the second version of the module only.
    def need(key, options)
      @server.features(key).need("cache.fill tags") if options.include?("TAGS")
      @server.features(key).need("cache.fill version") if options.include?("VERSION")
    end

    def failed(lease, flight, error, o, seconds)
      @settings.tell(:failed, lease.key, seconds, error)
      message = Corral.text_of(error, with_text: @settings.error_text)
      reply = @leases.conclude(lease, "CACHE.FAIL", message.b, *(o.backoff ? ["BACKOFF", Call.milliseconds(o.backoff)] : []))
      if reply.is_a?(Array) && reply.first == "STALE"
        @settings.log(:error, "the build of #{Corral.as_text(lease.key)} failed, and its old value is served", error)
        flight.outcome = reply[1]
        return @codec.load(reply[1])
      end
      flight.outcome = Failed.by(message, reply.is_a?(Array) ? reply[2] : 0, error)
      raise error
    end

    def build_behind(answer, flight, o, build, asked, force)
      lease = answer.lease
      flight.outcome = answer.value
      if force # somebody has just built it
        @leases.conclude(lease, "CACHE.RELEASE")
      else
        @settings.tell(:refresh, lease.key)
        refresh(lease, o, build, asked)
      end
      @codec.load(answer.value)
    end

    def refresh(lease, o, build, asked)
      job = lambda do
        before, self.building = building, [] # whoever began it does not wait for it
        build(lease, Flight.new(lease.key, {}, @rooms, @lock), o, build, asked)
      rescue *FAILURES => error
        @settings.log(:error, "refreshing #{Corral.as_text(lease.key)} failed", error)
      ensure
        self.building = before
      end
      @settings.background ? @settings.background.call(job) : @background.add(&job)
    rescue StandardError => error # of the hook, or of a process that can start no thread: the caller has its value
      @settings.log(:error, "refreshing #{Corral.as_text(lease.key)} could not be begun", error)
      @leases.conclude(lease, "CACHE.RELEASE")
    end

    def build_without_server(flight, key, o, build, deadline)
      return degraded(flight, key, build) if Thread.current[:corral_degraded] # a nested build shares its outer one's place
      return impatient(key, o, build) unless @places.enter(deadline - Corral.now)

      begin
        Thread.current[:corral_degraded] = true
        degraded(flight, key, build)
      ensure
        Thread.current[:corral_degraded] = nil
        @places.leave
      end
    end

    def degraded(flight, key, build)
      began = Corral.now
      made = call(key, build)
      bytes = @codec.dump(made.is_a?(NotShared) ? made.value : made)
      flight.outcome = made.is_a?(NotShared) ? PRIVATE : bytes
      @codec.load(bytes)
    rescue *FAILURES => error
      @settings.tell(:failed, key, Corral.now - began, error)
      flight.outcome = Failed.by(Corral.text_of(error, with_text: @settings.error_text), 0, error)
      raise
    end

    # Not stored, but decoded from a copy as everybody's is.
    def alone(key, build)
      made = call(key, build)
      @codec.load(@codec.dump(made.is_a?(NotShared) ? made.value : made))
    end

    # In the caller's own thread, which may be interrupted there at any place.
    def call(key, build)
      self.building = [*building, [self, key]]
      Thread.handle_interrupt(AT_ONCE) { build.call }
    ensure
      self.building = building[0...-1]
    end

    # The keys that this fiber is building, outermost first, with the engine they belong to.
    def building
      Thread.current[:corral_building] || []
    end

    def building=(keys)
      Thread.current[:corral_building] = keys
    end

    def impatient(key, o, build)
      return alone(key, build) if o.on_timeout == :build

      inside = building.filter_map { |engine, other| Corral.as_text(other) if engine.equal?(self) }
      hint = inside.empty? ? "" : " while building #{inside.join(" and ")}: two builds may be waiting for each other"
      raise WaitTimeout, "#{Corral.as_text(key)} was not there within #{o.wait} s#{hint}"
    end

    def say_out(key, outage)
      unless @out
        @out = true
        @settings.log(:error, "the server is out, values are built here, #{@settings.degrade_limit} at once: #{outage.message}")
      end
      @settings.tell(:degraded, key, nil, outage)
    end

    def back
      @out = false
      @settings.log(:warn, "the server is back")
    end
  end
end
