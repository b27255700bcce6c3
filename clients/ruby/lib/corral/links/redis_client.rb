# frozen_string_literal: true

require "redis_client"

class Corral
  module Links # :nodoc:
    # Over redis-client, and redis-rb 5, which is made of it. RESP2 and RESP3.
    class RedisClientLink < Link
      # What is sent is texts and whole numbers already. The client's own builder looks for hashes in it, at every call.
      module AsItIs
        def self.generate(words, _options = nil)
          words
        end
      end

      ERRORS = [::RedisClient::CommandError, ::RedisClient::ConnectionError, ::RedisClient::ProtocolError, SystemCallError, IOError].freeze

      def initialize(servers, host, port, timeout)
        where = host.start_with?("/") ? { path: host } : { host: host, port: port }
        config = ::RedisClient.config(
          **where, **servers.connecting, reconnect_attempts: 0, command_builder: AsItIs,
          connect_timeout: [timeout, CONNECT_TIMEOUT].min, read_timeout: [timeout, READ_TIMEOUT].min, write_timeout: READ_TIMEOUT
        )
        @client = ::RedisClient.new(config)
        @client.call("PING") # it connects at the first call: now, when a failure is one of connecting
        @client.read_timeout = READ_TIMEOUT
        @raw = raw unless watched?
        super()
      rescue *ERRORS => error
        raise failure(error)
      end

      private

      def exchange(words)
        @raw ? @raw.call(words, nil) : @client.call_v(words)
      rescue *ERRORS => error
        raise failure(error)
      end

      def failure(error)
        case error
        when ::RedisClient::CommandError, ::RedisClient::ReadOnlyError, ::RedisClient::MasterDownError then Failure.said(said(error))
        when ::RedisClient::CannotConnectError then Failure.new(:outage, error.message)
        when ::RedisClient::TimeoutError then Failure.new(:outage, "no answer in time (#{error.message})")
        else Failure.new(:lost, error.message)
        end
      end

      # The message names the server at its end.
      def said(error)
        error.message.sub(/ \(\w+:\/\/\S+\)\z/, "")
      end

      def disconnect
        @client.close
      end

      # Whether somebody wants to see each call, who would not see those on the connection itself, which spare a hit half of what
      # the client adds to it.
      def watched?
        ::RedisClient::Middlewares.instance_method(:call).owner != ::RedisClient::BasicMiddleware
      end

      def raw
        @client.instance_variable_get(:@raw_connection)
      end

      def raw_socket
        raw&.instance_variable_get(:@io)&.instance_variable_get(:@io)
      end
    end
  end
end
