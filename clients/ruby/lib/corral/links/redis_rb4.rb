# frozen_string_literal: true

require "redis"

class Corral
  module Links # :nodoc:
    # Over the client inside redis-rb 4, which speaks RESP2.
    class RedisRb4Link < Link
      ERRORS = [::Redis::CommandError, ::Redis::BaseConnectionError, ::Redis::ProtocolError, SystemCallError, IOError].freeze

      def initialize(servers, host, port, timeout)
        where = host.start_with?("/") ? { path: host } : { host: host, port: port }
        @client = ::Redis::Client.new(
          { **where, **servers.connecting, url: nil, sentinels: nil, reconnect_attempts: 0, timeout: READ_TIMEOUT,
            connect_timeout: [timeout, CONNECT_TIMEOUT].min, read_timeout: [timeout, READ_TIMEOUT].min }.compact
        )
        @client.call(["PING"]) # it connects at the first call: now, when a failure is one of connecting
        @client.connection.timeout = READ_TIMEOUT
        super()
      rescue *ERRORS => error
        raise failure(error)
      end

      private

      # Not `call`, which connects anew by itself, and looks at each call whether it has to.
      def exchange(words)
        @client.write(words)
        reply = @client.read
        reply.is_a?(::Redis::CommandError) ? raise(reply) : reply
      rescue *ERRORS => error
        raise failure(error)
      end

      def failure(error)
        case error
        when ::Redis::CommandError then Failure.said(error.message)
        when ::Redis::CannotConnectError then Failure.new(:outage, error.message)
        when ::Redis::TimeoutError then Failure.new(:outage, "no answer in time (#{error.message})")
        else Failure.new(:lost, error.message)
        end
      end

      def disconnect
        @client.disconnect
      end

      def raw_socket
        @client.connection&.instance_variable_get(:@sock)
      end
    end
  end
end
