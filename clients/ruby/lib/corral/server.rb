# frozen_string_literal: true

class Corral
  # What the server's module can, and what the user may. words: commands and options as CACHE.VERSION names them; missing:
  # commands that the ACL refuses.
  Features = Struct.new(:version, :words, :missing) do
    def need(word)
      raise Unsupported, "the server's module (version #{version}) has no #{word.upcase}" unless words.include?(word)
    end
  end

  # One request to whoever has the key, and what comes of each error that it may meet.
  class Server # :nodoc:
    # What every user needs: command, and arguments that are refused after the ACL was asked and before anything is done.
    NEEDED = {
      "cache.getorlock" => %w[CORRAL], "cache.fill" => ["x", ""], "cache.fail" => ["x", ""], "cache.renew" => %w[x x], "cache.release" => %w[x]
    }.freeze
    OPTIONAL = { "cache.pass" => %w[x], "cache.get" => [] }.freeze
    FIRST_VERSION = %w[getorlock mgetorlock fill set get renew release fail pass touch invalidate info leases].map { |word| "cache.#{word}" }.freeze
    ATTEMPTS_TO_TELL = 3

    attr_reader :topology

    def initialize(servers)
      @topology = Topology.new(servers)
    end

    # A connection that is idle, to a node that is known: all that a hit needs.
    def idle(key)
      node = @topology.node(key)
      node.idle if node.features
    end

    # Sends what the block says to the key's master; answers with the reply and the connection, to be kept or given back.
    # met: a reply, or a Failure, that the first attempt has met already, and its connection.
    # Raises Unavailable for an outage; NoPermission and ModuleMissing always.
    def reach(key, deadline, checked: true, met: nil)
      lost = false
      asking = nil
      while true
        reply, link = met
        node = link ? link.node : asking || @topology.node(key)
        link ||= take(node, key, checked)
        begin
          raise reply if reply.is_a?(Failure)

          unless met
            link.call("ASKING") if asking
            reply = link.call(*yield)
            node.outage.end
          end
          return [reply, link]
        rescue Failure => failure
          asking = met = nil
          if failure.kind == :lost && !lost
            # A server that restarted, or closed what was idle: everything else that is idle is as old.
            lost = true
            node.drop_idle
            next
          end
          if %i[lost outage].include?(failure.kind)
            link.close
            node.drop_idle
            refreshed
            raise out(node, failure)
          end
          node.give(link)
          refuse(node, failure)
          if Corral.now >= deadline
            raise WaitTimeout, "#{Corral.as_text(key)}: #{node.name} said to ask again until `wait` was over: #{failure.message}"
          end
          asking = another(failure) if failure.kind == :moved
          sleep(rand(0.02..0.1)) unless asking
        end
      end
    end

    def command(name, key, *arguments, checked: false)
      reply, link = reach(key, Corral.now + 5.0, checked: checked) { [name, key, *arguments] }
      link.node.give(link)
      reply
    end

    def features(key, anew: false)
      node = @topology.node(key)
      node.features = nil if anew
      node.features || begin
        node.give(take(node, key, true))
        node.features
      end
    end

    def invalidate(keys)
      # In a cluster one by one: keys of one command must be of one slot.
      groups = @topology.cluster? ? keys.map { |key| [key] } : [keys].reject(&:empty?)
      tell(groups.map { |group| ["CACHE.INVALIDATE", *group] })
    end

    def outdate(key, version)
      tell([["CACHE.OUTDATE", key, version]])
    rescue ModuleMissing
      features(key).need("cache.outdate")
      raise
    end

    # To every master of a freshly read topology; again to those that did not answer.
    def everywhere(*command)
      done = []
      failed = {}
      ATTEMPTS_TO_TELL.times do |attempt|
        sleep(rand(0.1..0.2)) if attempt.positive?
        begin
          masters = @topology.masters
        rescue Unavailable => error
          failed = { "every node" => error }
          next
        end
        failed = {}
        (masters - done).each do |node|
          link = node.take
          link.call(*command)
          node.give(link)
          done << node
        rescue Failure => failure
          raise Unsupported, "#{node.name}: the server's module has no #{command.first}" if failure.kind == :missing

          refuse(node, failure)
          node.drop_idle
          failed[node.name] = failure
        end
        return if failed.empty?
      end
      raise NotAllAnswered, failed
    end

    # What is an error for every caller, whatever it prefers.
    def refuse(node, failure)
      case failure.kind
      when :denied then raise NoPermission, "#{node.name}: #{failure.message}"
      when :missing then raise ModuleMissing, node.name
      when :other then raise ServerError, "#{node.name}: #{failure.message}"
      end
    end

    def out(node, failure)
      node.outage.begin(failure.message)
      Unavailable.new("#{node.name}: #{failure.message}")
    end

    private

    def take(node, key, checked)
      if (error = node.outage.error)
        Thread.new { try_again(node) } if node.outage.due?
        raise Unavailable, "#{node.name} is out: #{error}"
      end
      link = node.take
      # A link that nobody has yet is closed if this fails, or is interrupted.
      ready = !checked || node.features || ask_features(node, link, key)
      link
    rescue Failure => failure
      refuse(node, failure)
      node.drop_idle
      refreshed
      raise out(node, failure)
    ensure
      link.close if link && !ready
    end

    def try_again(node, patience = Link::CONNECT_TIMEOUT)
      node.give(node.open(patience))
      node.outage.answers
    rescue Failure => failure
      return node.outage.answers unless %i[lost outage].include?(failure.kind)

      node.outage.begin(failure.message)
      begin
        refreshed # in a cluster a replica may have taken its place meanwhile
      rescue NoPermission
        nil # for callers to see
      end
    end

    def ask_features(node, link, key)
      missing = []
      NEEDED.merge(OPTIONAL).each do |name, arguments|
        link.call(name, key, *arguments)
      rescue Failure => failure
        raise ModuleMissing, node.name if failure.kind == :missing
        raise unless link.usable?

        # "… no permissions to run the 'cache.fill' command". A refused key is told when it is used.
        missing << name if failure.kind == :denied && failure.message.match?(/run the '?cache/i)
        raise if failure.kind == :denied && failure.message.start_with?("NOAUTH")
      end
      lacking = (NEEDED.keys & missing).first
      raise NoPermission, "#{node.name}: the user may not run #{lacking}: add +#{lacking} to its ACL rules" if lacking

      told = told_version(node, link)
      node.features = Features.new(told[0], told[1], missing)
    end

    def told_version(node, link)
      told = link.call("CACHE.VERSION")
      told = told.is_a?(Hash) ? told : told.each_slice(2).to_h
      [told.fetch("version", "?"), [*told["commands"], *told["options"]].map(&:downcase)]
    rescue Failure => failure
      raise NoPermission, "#{node.name}: the user may not run cache.version: add +cache.version to its ACL rules" if failure.kind == :denied
      raise unless failure.kind == :missing

      ["of the first version", FIRST_VERSION]
    end

    # After MOVED the topology is read anew and asked; ASK names the node for this one call.
    def another(failure)
      if (match = /\AASK \d+ (\S+):(\d+)/.match(failure.message))
        return @topology.at(match[1], match[2].to_i)
      end

      refreshed
      nil
    end

    def refreshed
      @topology.refresh
    rescue Unavailable
      nil # what is known stays; the caller has an error of its own
    end

    # Tells each key's master, and those that did not answer again: what is lost here is an old value for ever. A node that
    # did not take one key is not waited for with each of the others.
    def tell(commands)
      failed = {}
      commands.each do |name, key, *arguments|
        (1..ATTEMPTS_TO_TELL).each do |attempt|
          command(name, key, *arguments)
          break
        rescue Unavailable => error
          node = master_of(key)
          where = node ? node.name : "the master of #{Corral.as_text(key)}"
          if failed.key?(where) || attempt == ATTEMPTS_TO_TELL
            failed[where] = error
            break
          end
          sleep(rand(0.1..0.2))
          refreshed
          try_again(node, 0.5) if node # it may be back before its pause is over; if it hangs it has cost enough
        end
      end
      raise NotAllAnswered, failed unless failed.empty?
    end

    # nil: nobody says who that is.
    def master_of(key)
      @topology.node(key)
    rescue Unavailable
      nil
    end
  end
end
