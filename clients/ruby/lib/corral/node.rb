# frozen_string_literal: true

class Corral
  def self.now # :nodoc:
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  # Whether a server is out, and when it is to be tried again. No caller does that: a server that hangs would cost it a
  # read time-out each time.
  class Outage # :nodoc:
    attr_reader :error

    def initialize
      @lock = Mutex.new
      @error = nil
      @pause = 0.0
      @again_at = 0.0
      @trying = false
    end

    def begin(error)
      @lock.synchronize do
        next if @error && !@trying # of a call that was under way when it began

        @pause = (@pause * 2).clamp(0.1, 5.0)
        @again_at = Corral.now + @pause
        @error = error
        @trying = false
      end
    end

    # True for one who asks, who is to have it tried.
    def due?
      @lock.synchronize do
        next false if @trying || Corral.now < @again_at

        @trying = true
      end
    end

    # It may be asked again. The pauses begin anew when it has served somebody.
    def answers
      @lock.synchronize { @error, @trying = nil, false }
    end

    def end
      @lock.synchronize { @error, @pause = nil, 0.0 } if @pause.positive?
    end
  end

  # One server: its idle connections, and whether it is out.
  class Node # :nodoc:
    KEPT_IDLE = 64

    attr_reader :host, :port, :name, :outage
    attr_accessor :features # nil: it has not been asked

    def initialize(servers, host, port)
      @servers = servers
      @host = host
      @port = port
      @name = port.zero? ? host : "#{host}:#{port}"
      @outage = Outage.new
      @idle = Queue.new # of threads: needs no lock
    end

    def idle
      until @idle.empty?
        link = @idle.pop(true)
        return link if link.usable?
      end
    rescue ThreadError
      nil # somebody else took the last one
    end

    def take
      idle || open
    end

    def open(timeout = Link::CONNECT_TIMEOUT)
      @servers.open(@host, @port, timeout).tap { |link| link.node = self }
    end

    def give(link)
      return unless link.usable?

      @idle.size < KEPT_IDLE ? @idle.push(link) : link.close
    end

    def drop_idle
      while (link = idle)
        link.close
      end
    end
  end

  # Which node has a key, and which nodes are masters.
  class Topology # :nodoc:
    def initialize(servers)
      @servers = servers
      @cluster = servers.cluster?
      @lock = Mutex.new
      @nodes = {}
      @ranges = []
      @master = nil
    end

    def cluster?
      @cluster
    end

    def at(host, port)
      @lock.synchronize { @nodes["#{host}:#{port}"] ||= Node.new(@servers, host, port) }
    end

    def node(key)
      return @master ||= at(*(@servers.service ? @servers.master : @servers.addresses.first)) unless @cluster

      slot = Topology.slot(key)
      2.times do |attempt|
        @ranges.each { |first, last, node| return node if slot.between?(first, last) }
        refresh if attempt.zero?
      end
      raise Unavailable, "slot #{slot} of the cluster is served by nobody"
    end

    # As they are now.
    def masters
      refresh
      cluster? ? @ranges.map(&:last).uniq : [node("")]
    end

    # Asks whoever answers, those known to be well first.
    def refresh
      return @master = at(*@servers.master) if @servers.service
      return unless cluster?

      asked = (@ranges.map(&:last) + @servers.addresses.map { |host, port| at(host, port) }).uniq
      why = nil
      asked.sort_by { |node| node.outage.error ? 1 : 0 }.each do |node|
        link = node.take
        rows = link.call("CLUSTER", "SLOTS")
        node.give(link)
        @ranges = rows.map do |first, last, (host, port)|
          [first, last, at(host.to_s.empty? ? node.host : host, port)]
        end
        return
      rescue Failure => failure
        raise NoPermission, "#{node.name}: #{failure.message}" if failure.kind == :denied

        why = failure
      end
      raise Unavailable, "no node of the cluster answers: #{why&.message || "none is known"}"
    end

    def close
      @nodes.each_value(&:drop_idle)
    end

    # CRC-16/XMODEM of the key, or of what is between its first braces.
    def self.slot(key)
      key = key.b
      tag = key[/\{([^}]+)\}/, 1] if key.index("{") && key[/\{[^}]*\}/] == key[/\{[^}]+\}/]
      crc = 0
      (tag || key).each_byte do |byte|
        crc ^= byte << 8
        8.times { crc = (crc << 1 ^ (crc & 0x8000 == 0 ? 0 : 0x1021)) & 0xFFFF }
      end
      crc % 16_384
    end
  end
end
