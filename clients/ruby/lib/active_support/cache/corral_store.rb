# frozen_string_literal: true

require "active_support"
require "active_support/cache"
require "active_support/core_ext/numeric/time"
require "digest/sha2"
require "corral"

module ActiveSupport
  module Cache
    # A cache store of Rails whose `fetch` builds once over all processes and machines:
    #
    #   config.cache_store = :corral_store, { url: ENV["REDIS_URL"], race_condition_ttl: 10.seconds, expires_in: 1.hour }
    #
    # Entries are what Rails' coder makes of them. `raw: true` values are plain strings, with which increment works.
    class CorralStore < Store
      MAX_KEY_BYTES = 1024
      SCAN_COUNT = 1000
      # Options of Corral's calls that a store, and a fetch, may name.
      CALL_OPTIONS = %i[sie jitter tags group wait lease backoff on_timeout].freeze
      OBJECT_OPTIONS = Corral::Settings::DEFAULTS.keys - %i[serializer]

      def self.supports_cache_versioning?
        true
      end

      prepend Strategy::LocalCache

      attr_reader :corral

      # redis: the client that you have, or url:. The rest are options of Rails' stores and of Corral.
      def initialize(redis: nil, url: nil, **options)
        own = options.slice(*OBJECT_OPTIONS)
        @corral = Corral.new(redis || url || ENV.fetch("REDIS_URL", "redis://127.0.0.1:6379"), **own, serializer: :bytes)
        super(options.except(*OBJECT_OPTIONS))
      end

      # With a block: one caller among all processes runs it, everybody else waits for its value or, within
      # race_condition_ttl, has the old one at once while it is built behind the one who found it.
      def fetch(name, options = nil, &block)
        return super unless block
        return super if merged_options(options)[:raw] # a plain string, which has no lease

        options = merged_options(options)
        key = normalize_key(name, options)
        version = normalize_version(name, options)
        entry = local_entry(key, version) unless options[:force]
        generated = false
        instrument(:read, name, options) do |payload|
          entry ||= built(key, version, options) do
            generated = true
            value = instrument(:generate, name, options) { yield(name) }
            instrument(:write, name, options) {} # FILL, once the block has returned
            value
          end
          payload[:super_operation] = :fetch if payload
          payload[:hit] = !generated if payload
        end
        instrument(:fetch_hit, name, options) {} unless generated
        entry.value
      end

      def increment(name, amount = 1, options = nil)
        instrument(:increment, name, amount: amount) { counted(name, amount, options) }
      end

      def decrement(name, amount = 1, options = nil)
        instrument(:decrement, name, amount: amount) { counted(name, -amount, options) }
      end

      # A glob as of Redis' KEYS: "views/*". It looks at every key of the servers.
      def delete_matched(matcher, options = nil)
        raise ArgumentError, "Only Redis glob strings are supported: #{matcher.inspect}" unless matcher.is_a?(String)

        # Of the namespace no letter is a wildcard: what is in another one stays.
        pattern = (namespace_key("", merged_options(options)).gsub(/[\\*?\[\]^]/) { |letter| "\\#{letter}" } + matcher).b
        instrument(:delete_matched, matcher) { server.topology.masters.each { |node| scan(node, pattern) } }
        true
      end

      # With a namespace what is in it, otherwise the whole database, as Rails' Redis store does.
      def clear(options = nil)
        failsafe(:clear) do
          namespace = merged_options(options)[:namespace]
          namespace ? delete_matched("*", namespace: namespace) : server.everywhere("FLUSHDB")
          true
        end
      end

      # The server removes what is over.
      def cleanup(options = nil)
        true
      end

      def inspect
        "#<#{self.class} options=#{options.inspect}>"
      end

      private

      def server
        @corral.engine.server
      end

      def built(key, version, options)
        build = lambda do
          value = yield
          # The server knows when it is over, and all machines by one clock.
          bytes = serialize_entry(Entry.new(value, **options.except(:expires_in), version: version))
          # Not kept, and the next one may keep his.
          value.nil? && options[:skip_nil] ? Corral::NotShared.new(bytes, seconds: 0.001) : bytes
        end
        call = call_of(options)
        bytes = options[:force] ? @corral.refresh(key, **call, &build) : @corral.get_or_build(key, **call, &build)
        found = loaded(bytes)
        # A recyclable key: what is there is of another version of the record, though fresh. Or an entry that another
        # store wrote, which is kept longer than it is good. Or what nobody can read, as of a class that is no more.
        found = loaded(renewed(key, version, call, build)) if outdated?(found, version)
        if outdated?(found, version) # still: a plain string, which nobody can have a lease of
          server.command("DEL", key)
          found = deserialize_entry(@corral.get_or_build(key, **call, &build))
        end
        local_cache&.write_entry(key, found.dup) unless found.value.nil? && options[:skip_nil]
        found
      end

      # Whoever comes second finds that the first has just built it.
      def renewed(key, version, call, build)
        will_do = ->(bytes) { !outdated?(loaded(bytes), version) }
        @corral.engine.get_or_build(key.b, @corral.defaults.but(call), force: true, unless_: will_do, &build)
      end

      def outdated?(entry, version)
        entry.nil? || entry.mismatched?(version) || entry.expired?
      end

      def local_entry(key, version)
        entry = local_cache&.read_entry(key)
        entry unless entry.nil? || entry.expired? || entry.mismatched?(version)
      end

      def call_of(options)
        seconds = options[:expires_in]&.to_f
        call = options.slice(*CALL_OPTIONS)
        call[:ttl] = seconds
        call[:swr] = options[:race_condition_ttl].to_f if options[:race_condition_ttl]
        call
      end

      # --- What Rails asks of a store ---

      def read_entry(key, **options)
        failsafe(:read_entry) { entry_of(server.command("CACHE.GET", key), **options) }
      end

      def read_multi_entries(names, **options)
        keys = names.to_h { |name| [name, normalize_key(name, options)] }
        return super if server.topology.cluster? || names.empty? # keys of one command must be of one slot

        replies = failsafe(:read_multi_entries, returning: []) { server.command("CACHE.MGET", *keys.values) }
        names.zip(replies).each_with_object({}) do |(name, reply), results|
          entry = reply && entry_of(reply, **options)
          results[name] = entry.value unless entry.nil? || entry.expired? || entry.mismatched?(normalize_version(name, options))
        end
      rescue Corral::ModuleMissing
        super # the first version of the module has no MGET
      end

      def write_entry(key, entry, raw: false, unless_exist: false, **options)
        call = Corral::Call.new(call_of(options))
        failsafe(:write_entry, returning: false) do
          if raw
            kept = call.ttl ? ["PX", Corral::Call.milliseconds(call.ttl)] : []
            server.command("SET", key, entry.value.to_s.b, *kept, *("NX" if unless_exist)) == "OK"
          else
            server.command("CACHE.SET", key, serialize_entry(entry).b, *call.fill_options(entry.value), *("NX" if unless_exist)) == "OK"
          end
        end
      end

      def delete_entry(key, **_options)
        failsafe(:delete_entry, returning: false) { server.command("DEL", key).positive? }
      end

      def entry_of((state, bytes), raw: false, **)
        return nil unless state == "HIT"

        raw ? Entry.new(bytes.dup.force_encoding(Encoding::UTF_8), compress: false) : loaded(bytes)
      end

      # Nil: somebody wrote what no coder here can read, and what it raises then depends on what it read.
      def loaded(bytes)
        deserialize_entry(bytes)
      rescue StandardError
        nil
      end

      def counted(name, amount, options)
        failsafe(:increment) do
          options = merged_options(options)
          key = normalize_key(name, options)
          server.command("INCRBY", key, amount).tap do |value|
            server.command("PEXPIRE", key, Corral::Call.milliseconds(options[:expires_in].to_f)) if options[:expires_in] && value == amount
          end
        end
      end

      def scan(node, pattern)
        cursor = "0"
        link = node.take
        loop do
          cursor, keys = link.call("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
          keys.each { |key| link.call("DEL", key.b) }
          break if cursor == "0"
        end
        node.give(link)
      rescue Corral::Failure => failure
        link&.close
        server.refuse(node, failure)
        raise Corral::Unavailable, "#{node.name}: #{failure.message}"
      end

      def normalize_key(key, options = nil)
        key = super.to_s.b
        return key if key.bytesize <= MAX_KEY_BYTES

        suffix = ":sha2:#{::Digest::SHA2.hexdigest(key)}"
        "#{key.byteslice(0, MAX_KEY_BYTES - suffix.bytesize)}#{suffix}"
      end

      # A cache that is out is no error of the page's. What is not built by `fetch` is then not there.
      def failsafe(method, returning: nil)
        yield
      rescue Corral::Unavailable => error
        @corral.engine.settings.log(:error, "#{method} failed, returned #{returning.inspect}: #{error.message}")
        returning
      end
    end
  end
end
