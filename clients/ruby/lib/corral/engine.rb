# frozen_string_literal: true

class Corral
  # What a call does in each state. One for each process, made at the first call in it.
  class Engine # :nodoc:
    # A mask is copied at each use, unless it is such a one.
    WHEN_WAITING = { Object => :on_blocking }.compare_by_identity.freeze
    AT_ONCE = { Object => :immediate }.compare_by_identity.freeze

    attr_reader :server, :leases, :settings

    def initialize(servers, settings)
      @settings = settings
      @codec = settings.serializer
      @server = Server.new(servers)
      @leases = Leases.new(@server, settings)
      @flights, @forced = Array.new(2) { Flights.new(settings.max_waiting) }
      @places = Places.new(settings.degrade_limit)
      @background = Background.new(settings.background_limit)
      @near = settings.local.positive? ? Near.new(settings.local, settings.local_ttl) : nil
      @out = false
    end

    # force: build although it is fresh, unless `unless_` says of the bytes there that they will do after all.
    def get_or_build(key, o, force: false, unless_: nil, &build)
      if Thread.current[:corral_building]&.include?([self, key])
        raise RecursiveBuild, "the build of #{Corral.as_text(key)} asks for #{Corral.as_text(key)}, and would wait for itself"
      end
      if @near && !force && (bytes = @near.get(key))
        @settings.tell(:hit, key)
        return @codec.load(bytes)
      end
      flights = force ? @forced : @flights
      began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      while true # not loop, which takes a build's StopIteration for its own
        flight = Flight.new
        flight.asked = [@near.moment, Corral.now] if @near
        ahead = bytes = nil
        # Two interrupts may come at once, as of a Timeout and a kill: none between a flight's beginning and its end, or a
        # grant's arrival and its lease, but where something is waited for.
        Thread.handle_interrupt(WHEN_WAITING) do
          unless (ahead = flights.take_off(key, flight))
            begin
              bytes = (hit(flights, flight, key, o, began) unless force) || lead(flights, flight, key, o, build, began, force, unless_)
            ensure
              flights.land(key, flight) unless flight.landed
            end
          end
        end
        return @codec.load(bytes) unless ahead
        return @codec.load(impatient(key, o, build)) unless flights.wait(ahead, began + o.wait - Corral.now)

        case (outcome = ahead.outcome)
        when String then return @codec.load(outcome)
        when Failed then outcome.raise_for(key)
        when PRIVATE then return @codec.load(alone(key, build))
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
      [@flights, @forced].each { |flights| flights.forget(keys) }
    end

    # --- The one that asks: each of these answers with the bytes for its caller ---

    # Nearly always there is a connection, and nearly always it is a hit, which needs nothing of what comes after. Else nil.
    def hit(flights, flight, key, o, began)
      return unless flight.parked && (link = @server.idle(key))

      begin
        reply = link.ask(["CACHE.GETORLOCK", key, *o.asking])
        if reply.is_a?(Array) && reply[0] == "HIT" && !(@settings.on_event && Corral.now - began > Leases::WAIT_WORTH_TELLING)
          link.node.give(link)
          flight.outcome = bytes = reply[1].freeze # or a serializer that hands bytes on would have callers share them
          if @settings.on_event
            flights.land(key, flight) # the hook may ask for this key itself
            @settings.tell(:hit, key)
          end
          @near&.put(key, bytes, fresh_for(reply[2]), *flight.asked)
          return bytes
        end
      rescue Failure => failure
        reply = failure
      end
      flight.met = [reply, link]
      nil
    end

    def lead(flights, flight, key, o, build, began, force, unless_)
      deadline = began + o.wait
      begin
        answer = @leases.ask(key, o, deadline, -> { flights.parks?(flight) }, force: force ? %w[FORCE NOSTALE] : [], met: flight.met)
        flights.answered(flight)
      rescue Unavailable => outage
        raise if @settings.degrade == :raise

        say_out(key, outage)
        return build_without_server(flight, key, o, build, deadline)
      end
      back if @out
      if answer.lease
        return build(answer.lease, flight, o, build) if answer.state == "LOCK" || force && !unless_&.call(answer.value)

        return build_behind(answer, flight, o, build, force)
      end
      case answer.state
      when "HIT", "STALE"
        @settings.tell(answer.state == "HIT" ? :hit : :stale, key)
        @near&.put(key, answer.value, fresh_for(answer.number), *flight.asked) if answer.state == "HIT"
        flight.outcome = answer.value.freeze
      when "PASS"
        flight.outcome = PRIVATE
        flights.land(key, flight)
        alone(key, build)
      when "FAIL"
        flight.outcome = Failed.by(Corral.as_text(answer.value), answer.number)
        flight.outcome.raise_for(key)
      else # WAIT: the patience is over. No outcome: the next one asks anew
        impatient(key, o, build)
      end
    end

    def fresh_for(milliseconds)
      milliseconds.negative? ? Float::INFINITY : milliseconds / 1000.0
    end

    # --- Building ---

    def build(lease, flight, o, build)
      began = Corral.now
      self.building = [*building, [self, lease.key]] # until the verdict: the hook that is told of it may ask, too
      @leases.renew(lease, o.lease)
      begin
        made = Thread.handle_interrupt(AT_ONCE) { build.call } # in the caller's own thread, which may be interrupted there
        shared = !made.is_a?(NotShared)
        bytes = dumped(made)
        options = shared ? o.fill_options(made) : made.options
        need(lease.key, options)
      rescue *FAILURES => error
        # Also what the serializer refuses: a released lease would have every waiter build it again.
        return failed(lease, flight, error, o, Corral.now - began)
      end
      @settings.tell(:built, lease.key, Corral.now - began)
      if shared
        flight.outcome = bytes
        filled_at = Corral.now
        stored = @leases.conclude(lease, "CACHE.FILL", bytes, *options)
        fresh = o.ttl.nil? ? Float::INFINITY : o.ttl * (1 - o.jitter / 100.0) unless o.ttl.respond_to?(:call)
        @near&.put(lease.key, bytes, fresh, flight.asked.first, filled_at) if stored && fresh
      else
        flight.outcome = PRIVATE
        @leases.conclude(lease, "CACHE.PASS", *options)
      end
      bytes
    ensure
      @leases.conclude(lease, "CACHE.RELEASE") unless lease.ended
      self.building = building[0...-1]
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
        return flight.outcome = reply[1].freeze
      end
      flight.outcome = Failed.by(message, reply.is_a?(Array) ? reply[2] : 0, error)
      raise error
    end

    def build_behind(answer, flight, o, build, force)
      lease = answer.lease
      flight.outcome = answer.value.freeze
      if force # somebody has just built it
        @leases.conclude(lease, "CACHE.RELEASE")
      else
        @settings.tell(:refresh, lease.key)
        refresh(lease, flight.asked, o, build)
      end
      answer.value
    end

    def refresh(lease, asked, o, build)
      granted = Corral.now
      behind = Flight.new
      behind.asked = asked
      around = @settings.background ? :call.to_proc : Background.surroundings
      job = lambda do
        before, self.building = building, [] # whoever began it does not wait for it
        # After long in the queue somebody else may be building, or have built.
        late = Corral.now - granted > o.lease / 3
        around.call(-> { build(lease, behind, o, build) }) unless lease.ended || late && !@leases.renew_once(lease, o.lease)
      rescue *FAILURES => error
        @settings.log(:error, "refreshing #{Corral.as_text(lease.key)} failed", error)
      ensure
        self.building = before
        @leases.conclude(lease, "CACHE.RELEASE") unless lease.ended
      end
      return @settings.background.call(job) if @settings.background

      @leases.conclude(lease, "CACHE.RELEASE") unless @background.add(job)
    rescue *FAILURES => error # of the hook, or of a process that can start no thread: the caller has its value
      @settings.log(:error, "refreshing #{Corral.as_text(lease.key)} could not be begun", error)
      @leases.conclude(lease, "CACHE.RELEASE") unless lease.ended
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
      bytes = dumped(made)
      flight.outcome = made.is_a?(NotShared) ? PRIVATE : bytes
      bytes
    rescue *FAILURES => error
      @settings.tell(:failed, key, Corral.now - began, error)
      flight.outcome = Failed.by(Corral.text_of(error, with_text: @settings.error_text), 0, error)
      raise
    end

    # Not stored, but decoded from a copy as everybody's is.
    def alone(key, build)
      dumped(call(key, build))
    end

    def dumped(made)
      bytes = @codec.dump(made.is_a?(NotShared) ? made.value : made)
      raise TypeError, "the serializer's dump made a #{bytes.class}, not a String" unless bytes.is_a?(String)

      bytes.b.freeze
    end

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
