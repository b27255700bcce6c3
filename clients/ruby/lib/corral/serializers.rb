# frozen_string_literal: true

require "json"

class Corral
  # Something with `dump` and `load`; dump raises its own error for what it refuses.
  module Serializers # :nodoc:
    def self.named(given)
      case given
      when :json, "json" then Json
      when :marshal, "marshal" then Native
      when :bytes, "bytes" then Bytes
      else
        return given if given.respond_to?(:dump) && given.respond_to?(:load)

        raise Usage, "serializer takes :json, :marshal, :bytes or something with dump and load, not #{given.inspect}"
      end
    end

    # Symbols come back as strings, to the builder's caller too.
    module Json
      def self.dump(value)
        refuse(value)
        JSON.generate(value)
      end

      def self.load(bytes)
        JSON::Parser.new(bytes.encoding == Encoding::UTF_8 ? bytes : bytes.dup.force_encoding(Encoding::UTF_8)).parse
      end

      # The library would write any other object as what its to_s says, and nobody would notice.
      def self.refuse(value)
        case value
        when nil, true, false, String, Symbol, Integer, Float then nil
        when Array then value.each { |element| refuse(element) }
        when Hash then value.each_value { |element| refuse(element) }
        else
          raise JSON::GeneratorError, "JSON has no #{value.class}: return hashes, arrays, texts and numbers, or say serializer: :marshal"
        end
      end
    end

    # Marshal, for servers whose every writer you trust.
    module Native
      def self.dump(value)
        Marshal.dump(value)
      end

      def self.load(bytes)
        Marshal.load(bytes) # rubocop:disable Security/MarshalLoad
      end
    end

    module Bytes
      def self.dump(value)
        raise TypeError, "the serializer :bytes takes a String, not #{value.class}" unless value.is_a?(String)

        value.b
      end

      def self.load(bytes)
        bytes.b
      end
    end
  end
end
