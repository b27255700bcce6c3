# frozen_string_literal: true

class Corral
  # Keys and tags from "report:{day}" and the arguments of a block or method. {user.id} is an element or what the method says.
  class Template # :nodoc:
    FIELD = /\{([^{}]*)\}/.freeze

    # Of the option `tags`; nil if they name no arguments.
    def self.of_tags(tags, function)
      return unless tags.is_a?(Array) && tags.any? { |tag| FIELD.match?(tag.to_s) }

      tags.map { |tag| new(tag.to_s, function) }
    end

    def initialize(template, function)
      raise Usage, "a template is a String, not #{template.inspect}" unless template.is_a?(String)

      @template = template
      @parameters = function.parameters.select { |kind, name| name && kind != :block }
      @parts = template.split(FIELD, -1)
      names = @parameters.map(&:last)
      fields.each do |field|
        next if names.include?(field[/\A\w+/]&.to_sym)

        raise Usage, "template #{template.inspect}: {#{field}} is no parameter of the function, which has #{names.empty? ? "none" : names.join(", ")}"
      end
    end

    def key(args, kwargs)
      # "a:b" and "c" must not meet "a" and "b:c".
      written(args, kwargs) { |text| text.gsub("%", "%25").gsub(":", "%3A") }
    end

    def tag(args, kwargs)
      written(args, kwargs) { |text| text }
    end

    private

    # Arguments may be bytes, and texts of any encoding: the same text makes the same key.
    def written(args, kwargs)
      bound = bind(args, kwargs)
      @parts.each_with_index.map { |part, index| index.odd? ? yield(Template.bytes(text(part, bound))) : Template.bytes(part) }.join.force_encoding(Encoding::UTF_8)
    end

    def self.bytes(text)
      text = text.encode(Encoding::UTF_8) unless text.encoding == Encoding::UTF_8 || text.encoding == Encoding::BINARY
      text.b
    end

    def fields
      @parts.each_with_index.filter_map { |part, index| part if index.odd? }
    end

    # A default is known to the function alone, so that what the template names must be given.
    def bind(args, kwargs)
      left = args.dup
      bound = kwargs.dup
      @parameters.each do |kind, name|
        case kind
        when :req, :opt then bound[name] = left.shift unless left.empty?
        when :rest then bound[name] = left.slice!(0..)
        end
      end
      bound
    end

    def text(field, bound)
      name, *path = field.split(".")
      raise Usage, "template #{@template.inspect}: the argument #{name} is missing" unless bound.key?(name.to_sym)

      value = path.reduce(bound[name.to_sym]) { |of, step| part(field, of, step) }
      case value
      when nil, true, false, String, Symbol, Numeric then value = value.inspect if value.nil?
      when Time then value = value.utc.strftime("%FT%T.%NZ")
      else
        unless defined?(Date) && value.is_a?(Date)
          raise Usage, "template #{@template.inspect}: {#{field}} is a #{value.class}, of which no text can be made; " \
                       "name a part of it, as {#{field}.id}, or pass a text"
        end
      end
      value.to_s
    end

    def part(field, of, step)
      return of[step.to_sym] if of.is_a?(Hash) && of.key?(step.to_sym)
      return of[step] if of.is_a?(Hash) && of.key?(step)
      return of.public_send(step) if !of.is_a?(Hash) && of.respond_to?(step)

      raise Usage, "template #{@template.inspect}: {#{field}} has no #{step}"
    end
  end

  # A function whose values are kept by its arguments.
  class Cached
    def initialize(corral, template, options, function) # :nodoc:
      @corral = corral
      @template = Template.new(template, function)
      @tags = Template.of_tags(options[:tags], function)
      @options = options
      @function = function
    end

    def call(*args, **kwargs)
      @corral.get_or_build(key(*args, **kwargs), **options(args, kwargs)) { @function.call(*args, **kwargs) }
    end
    alias [] call
    alias yield call

    def to_proc
      method(:call).to_proc
    end

    # Builds although the value is fresh; while somebody else does, waits for theirs.
    def refresh(*args, **kwargs)
      @corral.refresh(key(*args, **kwargs), **options(args, kwargs)) { @function.call(*args, **kwargs) }
    end

    def invalidate(*args, **kwargs)
      @corral.invalidate(key(*args, **kwargs))
    end

    def key(*args, **kwargs)
      @template.key(args, kwargs)
    end

    private

    def options(args, kwargs)
      @tags ? @options.merge(tags: @tags.map { |tag| tag.tag(args, kwargs) }) : @options
    end
  end
end
