# frozen_string_literal: true

class Corral
  # One connection of the package's own, used by one caller at a time, whichever client made it: without the client's
  # retries (a repeated GETORLOCK asks for a lease that nobody hears of) and with a read time-out above the longest park.
  class Link # :nodoc:
    SLICE = 2.0 # seconds that a call is parked before it asks again
    READ_TIMEOUT = SLICE + 2.0
    CONNECT_TIMEOUT = 4.0

    @open = ObjectSpace::WeakMap.new
    @adding = Mutex.new

    class << self
      def register(link)
        @adding.synchronize { @open[link] = true }
      end

      # A child that inherits a socket keeps its lease tied after the parent died. Nothing may be said on it, which a
      # TLS socket would at its end: so the descriptor below is closed.
      def let_go_in_child
        @adding = Mutex.new
        @open.each_key(&:let_go)
      end
    end

    attr_accessor :node # whose it is; nobody's while a sentinel is asked
    attr_reader :usable
    alias usable? usable

    def initialize
      @usable = true
      Link.register(self)
    end

    # The reply: text, whole number, nil, an array or a hash of these; raises Failure. Words are ASCII or binary, for
    # redis-rb 4 joins them.
    def call(*words)
      ask(words)
    end

    def ask(words)
      raise Failure.new(:lost, "the connection is closed") unless @usable # the clients would open another one

      answered = false
      reply = exchange(words)
      answered = true
      reply
    rescue Failure => failure
      answered = failure.reply? && !failure.full?
      raise
    ensure
      # Also when the caller's thread is interrupted: the reply to come must not meet the next command.
      close unless answered
    end

    def close
      return unless @usable

      @usable = false
      disconnect
    rescue StandardError
      nil # of a socket that is closed already
    end

    def let_go
      @usable = false
      socket = raw_socket
      socket = socket.to_io if socket.respond_to?(:to_io)
      socket&.close
    rescue StandardError
      nil
    end
  end

  # Ruby 3.1 has one method that every fork goes through.
  module AtFork # :nodoc:
    def _fork
      child = super
      Link.let_go_in_child if child.zero?
      child
    end
  end
  Process.singleton_class.prepend(AtFork)
end
