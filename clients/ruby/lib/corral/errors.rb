# frozen_string_literal: true

class Corral
  # What this package raises, but for a build's own exception and the serializer's.
  class Error < StandardError
  end

  # The last build of this key failed, here or elsewhere, and the next attempt is not allowed yet.
  class BuildFailed < Error
    attr_reader :reason, :retry_after

    # retry_after: seconds
    def initialize(key, reason, retry_after)
      @reason = reason
      @retry_after = retry_after
      super("#{key}: #{reason}")
    end
  end

  # The value was not there within `wait`.
  class WaitTimeout < Error
  end

  # A build asked for the key that it is building.
  class RecursiveBuild < Error
  end

  class ModuleMissing < Error
    def initialize(where)
      super("#{where} does not have the Corral module; in its redis.conf: loadmodule /path/to/libcorral.so")
    end
  end

  # The server's module is too old for an option that was asked for.
  class Unsupported < Error
  end

  # The server's ACL refuses a command, a key or the credentials.
  class NoPermission < Error
  end

  # The server is gone or refuses service. Seen with degrade: :raise only; the client's error is its cause.
  class Unavailable < Error
  end

  # The server answered what this version does not know, and that must not be taken for anything else.
  class UnknownAnswer < Error
  end

  # An error of the server's that is none of the above.
  class ServerError < Error
  end

  # An invalidation did not reach every node: old values may still be served there.
  class NotAllAnswered < Error
    attr_reader :nodes

    def initialize(nodes)
      @nodes = nodes
      super("not invalidated on #{nodes.map { |node, error| "#{node} (#{error.message})" }.join(", ")}")
    end
  end

  # A wrong option, template or argument: found before any server was asked.
  class Usage < ArgumentError
  end

  # An error that a Link met: an error reply of the server's, or a connection that is of no use any more.
  class Failure < StandardError # :nodoc:
    CODES = {
      "NOPERM" => :denied, "NOAUTH" => :denied, "WRONGPASS" => :denied,
      "UNBLOCKED" => :again, "TRYAGAIN" => :again, "MOVED" => :moved, "ASK" => :moved,
      "LOADING" => :outage, "MASTERDOWN" => :outage, "CLUSTERDOWN" => :outage, "READONLY" => :outage,
      "MISCONF" => :outage, "NOREPLICAS" => :outage, "OOM" => :outage, "BUSY" => :outage
    }.freeze

    # :lost the connection broke · :outage the server cannot or will not serve · :again to be asked again · :moved another
    # node has the slot · :denied the ACL refuses · :missing the module is not there · :other
    attr_reader :kind

    def initialize(kind, message, reply: false)
      @kind = kind
      @reply = reply
      super(message)
    end

    def self.said(text)
      new(kind_of(text), text, reply: true)
    end

    # By the code, which is the first word; Redis says ERR for an unknown command and for a full server, too.
    def self.kind_of(text)
      case text
      when /\AERR unknown command/i then :missing
      when /\AERR max number of clients/ then :outage
      else CODES.fetch(text[/\A\S+/], :other)
      end
    end

    def reply?
      @reply
    end

    # The server is full, says so and closes.
    def full?
      @reply && message.start_with?("ERR max number")
    end
  end

  # A failed build, or hook. What else ends one (an interrupt, exit, throw) says nothing about its source.
  FAILURES = [StandardError, ScriptError, NoMemoryError, SecurityError, SystemStackError].freeze # :nodoc:

  # A build's exception as a message for everybody: at most the 1024 bytes that FAIL takes.
  def self.text_of(error, with_text: true) # :nodoc:
    name = printed { error.class.name || error.class.to_s }
    said = with_text ? printed { error.message } : ""
    text = said.empty? || said == name ? name : "#{name}: #{said}"
    text.bytesize <= 1024 ? text : text.byteslice(0, 1024).scrub("")
  end

  # What others wrote may be in any encoding, no text at all, or raise.
  def self.printed # :nodoc:
    text = String(yield)
    text.encoding == Encoding::UTF_8 || text.encoding == Encoding::BINARY ? as_text(text) : text.encode(Encoding::UTF_8, invalid: :replace, undef: :replace)
  rescue *FAILURES
    "(not to be printed)"
  end
end
