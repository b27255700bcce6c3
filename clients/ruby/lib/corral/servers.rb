# frozen_string_literal: true

require "uri"

class Corral
  # Where the servers are and how connections to them are made: from a URL, from the client that you have, or said here.
  class Servers
    # addresses: [host, port] of the server; or of nodes of a cluster; or of sentinels
    attr_reader :addresses, :service, :connecting

    def initialize(addresses, library:, connecting:, cluster: false, service: nil, finder: nil, sentinel_connecting: {})
      @addresses = addresses
      @library = library
      @connecting = connecting.compact
      @cluster = cluster
      @service = service
      @finder = finder # an object of redis-client that knows the master
      @sentinel_connecting = sentinel_connecting
    end

    class << self
      def of(given)
        given = given.with { |client| client } if given.respond_to?(:with) && given.class.name == "ConnectionPool"
        case
        when given.is_a?(Servers) then given
        when given.is_a?(String) then at(given)
        when given.respond_to?(:_client) then of_redis(given)
        when redis_client?(given) then of_config(given.config)
        when given.class.name.start_with?("RedisClient::") && given.respond_to?(:connection_prelude) then of_config(given)
        when given.class.name == "RedisClient::ClusterConfig" then of_cluster_config(given)
        else
          raise Usage, "Corral takes a URL, a Redis, a RedisClient or its config, a ConnectionPool of these, or a Corral::Servers, not #{given.class}"
        end
      end

      # redis://user:password@host:port/database, rediss:// for TLS, unix:///path/of.sock.
      def at(url, protocol: nil, library: nil, **more)
        uri = URI(url)
        unless %w[redis rediss unix].include?(uri.scheme)
          raise Usage, "the URL #{url} begins with neither redis://, rediss:// nor unix://"
        end

        database = uri.scheme == "unix" ? URI.decode_www_form(uri.query.to_s).to_h["db"] : uri.path.to_s.delete_prefix("/")
        new(
          [uri.scheme == "unix" ? [uri.path, 0] : [uri.hostname || "127.0.0.1", uri.port || 6379]],
          library: found(library),
          connecting: { username: unescaped(uri.user), password: unescaped(uri.password), db: database.to_i,
                        ssl: uri.scheme == "rediss" || nil, protocol: protocol, **more }
        )
      end

      # "host:port" of some of its nodes; username:, password:, ssl: true, ssl_params: {…}
      def cluster(nodes, library: nil, **connecting)
        new(nodes.map { |node| address(node) }, library: found(library), connecting: connecting, cluster: true)
      end

      # "host:port" of sentinels
      def sentinel(sentinels, service, library: nil, **connecting)
        new(sentinels.map { |sentinel| address(sentinel) }, library: found(library), connecting: connecting, service: service)
      end

      private

      def of_redis(redis)
        client = redis._client
        return of_config(client.config) if redis_client?(client)
        return of_rb4_cluster(redis) if client.class.name == "Redis::Cluster"

        options = client.options
        connecting = options.slice(:username, :password, :db, :ssl, :ssl_params, :driver, :tcp_keepalive)
        sentinels = options[:sentinels]
        return new([options[:path] ? [options[:path], 0] : [options[:host], options[:port]]], library: :redis_rb4, connecting: connecting) unless sentinels

        named = sentinels.map { |sentinel| sentinel.transform_keys(&:to_sym) }
        new(named.map { |sentinel| [sentinel[:host], sentinel[:port].to_i] }, library: :redis_rb4, connecting: connecting,
            service: client.instance_variable_get(:@connector).instance_variable_get(:@master),
            sentinel_connecting: named.first.slice(:username, :password).merge(connecting.slice(:ssl, :ssl_params)))
      end

      # redis-rb 4 shows its nodes (it has asked the cluster when it was made) and what it was given.
      def of_rb4_cluster(redis)
        given = redis.instance_variable_get(:@options) || {}
        seeds = Array(redis.connection).map { |node| [node[:host], node[:port].to_i] }
        first = Array(given[:cluster]).first
        of_url = first.is_a?(String) ? at(first, library: :redis_rb4).connecting : (first || {}).slice(:username, :password)
        new(seeds, library: :redis_rb4, cluster: true,
            connecting: of_url.merge(given.slice(:username, :password, :ssl, :ssl_params).compact).reject { |name, _| name == :db })
      end

      def of_config(config)
        return of_cluster_config(config) if config.class.name == "RedisClient::ClusterConfig"

        connecting = { username: (config.username if config.password), password: config.password, db: config.db,
                       ssl: config.ssl || nil, ssl_params: config.ssl_params, protocol: config.protocol, driver: config.driver }
        if config.sentinel?
          new(config.sentinels.map { |sentinel| [sentinel.host, sentinel.port] }, library: :redis_client, connecting: connecting, service: config.name, finder: config)
        else
          new([config.path ? [config.path, 0] : [config.host, config.port]], library: :redis_client, connecting: connecting)
        end
      end

      def of_cluster_config(config)
        nodes = config.startup_nodes.values.map { |node| [node[:host], node[:port].to_i] }
        known = config.client_config.slice(:username, :password, :ssl, :ssl_params, :protocol, :driver)
        new(nodes, library: :redis_client, cluster: true, connecting: known)
      end

      def redis_client?(given)
        given.class.ancestors.any? { |ancestor| %w[RedisClient RedisClient::Common RedisClient::Cluster].include?(ancestor.name) } && given.respond_to?(:config)
      end

      def found(wanted)
        %i[redis_client redis_rb4].each do |library|
          next if wanted && wanted != library

          return library if there?(library)
        end
        raise Usage, "#{wanted || "neither redis-client nor redis"} is not there: install the gem redis-client or redis"
      end

      def there?(library)
        Servers.load(library)
        true
      rescue LoadError, NameError
        false
      end

      def address(text)
        match = /\A(?:rediss?:\/\/)?\[?(.+?)\]?:(\d+)\z/.match(text) or raise Usage, "#{text.inspect} is no host:port"
        [match[1], match[2].to_i]
      end

      def unescaped(text)
        URI.decode_www_form_component(text) if text && !text.empty?
      end
    end

    def self.load(library)
      if library == :redis_client
        require "corral/links/redis_client"
        Links::RedisClientLink
      else
        require "corral/links/redis_rb4"
        raise LoadError, "redis #{::Redis::VERSION} is made of redis-client" unless ::Redis::VERSION.start_with?("4.")

        Links::RedisRb4Link
      end
    end

    # Without the password.
    def inspect
      "#<#{self.class} #{"#{@service} of " if @service}#{"cluster of " if @cluster}#{@addresses.map { |host, port| "#{host}:#{port}" }.join(" ")}>"
    end

    def cluster?
      @cluster
    end

    # A new connection, with the user and the database set.
    def open(host, port, timeout = Link::CONNECT_TIMEOUT)
      Servers.load(@library).new(self, host, port, timeout)
    end

    # The master that the first sentinel to answer names.
    def master
      return @finder.tap(&:reset).then { |config| [config.host, config.port] } if @finder

      plain = Servers.new(@addresses, library: @library, connecting: @sentinel_connecting)
      why = nil
      @addresses.each do |host, port|
        link = plain.open(host, port, 2.0)
        found = link.call("SENTINEL", "get-master-addr-by-name", @service)
        link.close
        return [found[0], found[1].to_i] if found
      rescue Failure => failure
        why = failure
      end
      raise Unavailable, "no sentinel knows #{@service}#{": #{why.message}" if why}"
    rescue StandardError => error
      raise if error.is_a?(Error)

      raise Unavailable, "no sentinel knows #{@service}: #{error.message}"
    end
  end
end
