# frozen_string_literal: true

require "redis"

class Corral
  module Links # :nodoc:
    # Over the client inside redis-rb 4, which speaks RESP2.
    class RedisRb4Link < Link
      def initialize(servers, host, port, timeout)
        where = host.start_with?("/") ? { path: host } : { host: host, port: port }
        @client = ::Redis::Client.new(
          { **where, **servers.connecting, url: nil, sentinels: nil, reconnect_attempts: 0, timeout: READ_TIMEOUT,
            connect_timeout: [timeout, CONNECT_TIMEOUT].min, read_timeout: [timeout, READ_TIMEOUT].min }.compact
        )
        translated { @client.connect }
        @client.connection.timeout = READ_TIMEOUT
        super()
      end

      private

      def exchange(words)
        translated { @client.call(words) }
      end

      def translated
        yield
      rescue ::Redis::CommandError => error
        raise Failure.said(error.message)
      rescue ::Redis::CannotConnectError => error
        raise Failure.new(:outage, error.message)
      rescue ::Redis::TimeoutError => error
        raise Failure.new(:outage, "no answer in time (#{error.message})")
      rescue ::Redis::BaseConnectionError, ::Redis::ProtocolError, SystemCallError, IOError => error
        raise Failure.new(:lost, error.message)
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
