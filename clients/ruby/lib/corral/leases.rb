# frozen_string_literal: true

class Corral
  # The right to build a key, tied to its connection.
  class Lease # :nodoc:
    attr_reader :key, :token, :link, :speaking, :process
    attr_accessor :ended

    def initialize(key, token, link)
      @key = key
      @token = token
      @link = link
      @ended = false
      @process = Process.pid
      @speaking = Mutex.new # renewal and verdict share the connection
    end
  end

  Answer = Struct.new(:state, :value, :number, :lease) # :nodoc:

  # Asking for a key, and what a holder owes: renewal while it builds, one verdict at the end.
  class Leases # :nodoc:
    WAIT_WORTH_TELLING = 0.01 # the same in every package: what is shorter may be a busy machine's

    def initialize(server, settings)
      @server = server
      @settings = settings
      @renewals = Renewals.new { |lease, seconds| renew_once(lease, seconds) }
    end

    # The connection that asks is the one that is parked, and the one that holds the lease. parks: says whether it may be
    # parked; met: what the first attempt has met already.
    def ask(key, o, deadline, parks, force: [], met: nil)
      began = deadline - o.wait
      @server.features(key).need("cache.getorlock group") if o.group
      while true
        asked = Corral.now
        reply, link = @server.reach(key, deadline, met: met) { ["CACHE.GETORLOCK", key, *force, *patient(o, parks.call ? deadline - Corral.now : 0)] }
        met = nil
        state, value, number = reply if reply.is_a?(Array) && reply.size == 3
        case state
        when "LOCK", "REFRESH" then return Answer.new(state, value, number, Lease.new(key, number, link))
        when "HIT", "STALE", "WAIT", "PASS", "FAIL" then link.node.give(link)
        else
          link.close # should it be a grant, the tie ends it
          raise UnknownAnswer, "CACHE.GETORLOCK answered #{reply.inspect}, which this version does not know"
        end
        now = Corral.now
        if state != "WAIT" || now >= deadline
          @settings.tell(:waited, key, now - began) if now - began > WAIT_WORTH_TELLING
          return Answer.new(state, value, number, nil)
        end
        sleep([rand(0.02..0.1), [0.0, deadline - now].max].min) if now - asked < 0.02 # nobody is parked there just now
      end
    end

    def renew(lease, seconds)
      @renewals.add(lease, seconds)
    end

    # Speaks the verdict over the held connection, or once over another; also if the thread is interrupted meanwhile.
    # Whoever built has the value in any case, so nothing but a missing right is raised. A child that was forked in the build
    # has no say in it: its parent goes on building.
    def conclude(lease, command, *arguments)
      return if lease.process != Process.pid

      Thread.handle_interrupt(Object => :never) do
        @renewals.remove(lease)
        reply = lease.speaking.synchronize { speak(lease, command, arguments) }
        # Invalidated meanwhile, or somebody took over.
        @settings.tell(:not_stored, lease.key) if reply.nil? && command == "CACHE.FILL"
        reply
      end
    rescue NoPermission
      raise
    rescue Error, Failure => error
      @settings.log(:warn, "#{command} #{Corral.as_text(lease.key)} was not taken: #{error.message}")
      @settings.tell(:not_stored, lease.key, nil, error)
      nil
    end

    # False: it is not to be renewed any more.
    def renew_once(lease, seconds)
      lease.speaking.synchronize do
        next false if lease.ended || !lease.link.usable?

        # nil: taken over or invalidated; who joined still gets what is being built.
        !lease.link.call("CACHE.RENEW", lease.key, lease.token, Call.milliseconds(seconds)).nil?
      end
    rescue Failure => failure
      @server.out(lease.link.node, failure) if failure.kind == :outage && !failure.reply? # a verdict is not to find that out again
      @settings.log(:warn, "the lease of #{Corral.as_text(lease.key)} could not be renewed: #{failure.message}")
      false
    end

    private

    # Blocks no longer than there is patience left, if at all. But a group may have a longer time to block of its own.
    def patient(o, left)
      return o.asking[0...-2] unless left > 0.001 || o.group

      [*o.asking[0...-1], Call.milliseconds(left.clamp(0, Link::SLICE))]
    end

    def speak(lease, command, arguments)
      if lease.link.usable?
        begin
          reply = lease.link.call(command, lease.key, lease.token, *arguments)
          lease.link.node.give(lease.link)
          return reply
        rescue Failure => failure
          after_refusal(lease, command, failure)
        end
      end
      @server.command(command, lease.key, lease.token, *arguments)
    end

    # Returns if another connection may fare better.
    def after_refusal(lease, command, failure)
      link = lease.link
      answered = link.usable?
      if answered && failure.kind == :other && command != "CACHE.RELEASE"
        # Refused as it stands (a tag, a time that is too long), and so would be what every next builder brings.
        link.call("CACHE.FAIL", lease.key, lease.token, Corral.text_of(failure).b)
      end
    rescue Failure
      nil # the tie ends it
    ensure
      link.close # should the lease still be live, the tie ends it
      raise NoPermission, "#{link.node.name}: #{failure.message}" if failure.kind == :denied
      # A server that hangs costs a read time-out, and not another.
      raise @server.out(link.node, failure) if !answered && failure.kind == :outage
      raise failure if answered && !%i[moved again].include?(failure.kind)
    end

  end

  # One thread renews all leases of the process, each at a third of its length.
  class Renewals # :nodoc:
    def initialize(&renew)
      @renew = renew
      @due = {} # [moment, seconds] by lease
      @lock = Mutex.new
      @changed = ConditionVariable.new
      @thread = nil
    end

    def add(lease, seconds)
      @lock.synchronize do
        @due[lease] = [Corral.now + seconds / 3, seconds]
        @thread = Thread.new { work } unless @thread&.alive?
        @changed.signal
      end
    end

    def remove(lease)
      @lock.synchronize do
        lease.ended = true
        @due.delete(lease)
      end
    end

    private

    def work
      Thread.current.name = "corral-renewals"
      while true
        lease, (_, seconds) = @lock.synchronize { wait_for_one }
        return if lease.nil?

        again = @renew.call(lease, seconds)
        @lock.synchronize { @due[lease] = [Corral.now + seconds / 3, seconds] if again && !lease.ended }
      end
    end

    # The lease that is due. An idle thread ends soon, and lets go of the object that it belongs to; the next lease starts another.
    def wait_for_one
      while true
        if @due.empty?
          @changed.wait(@lock, 1)
          if @due.empty?
            @thread = nil
            return nil
          end
        end
        lease, due = @due.min_by { |_, (moment, _)| moment }
        left = due.first - Corral.now
        if left <= 0
          @due.delete(lease)
          return lease, due
        end
        @changed.wait(@lock, [left, 1].min) # it may end meanwhile
      end
    end
  end
end
