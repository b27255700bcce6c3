package corral;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** What a call does in each state. */
final class Engine {
    private static final int MESSAGE_LIMIT_BYTES = 1_024;

    final Server server;
    final Threads threads;
    final Serializer serializer;
    final Options defaults;
    private final Settings settings;
    private final Teller teller;
    private final Leases leases;
    private final NearCache near;
    private final Map<Flight.Id, Flight> flights = new ConcurrentHashMap<>();
    private final Semaphore degrading;

    Engine(Library library, Settings settings) {
        this.settings = settings;
        defaults = settings.defaults;
        serializer = settings.serializer == null ? Serializer.json() : settings.serializer;
        teller = new Teller(settings.onEvent);
        threads = new Threads(settings);
        near = settings.local == 0 ? null : new NearCache(settings.local, settings.localTtl);
        server = new Server(new Topology(library, near == null ? null : this::changed), threads);
        leases = new Leases(server, settings, threads, teller);
        degrading = new Semaphore(settings.degradeLimit);
    }

    // --- What callers ask for ---

    <T> T getOrBuild(Key key, Codec<T> codec, Options o, boolean force, Build<?, ?> build) throws Exception {
        byte[] copy = localCopy(key, force);
        if (copy != null) return codec.decode(copy);
        long deadline = System.nanoTime() + nanos(o.wait);
        while (true) {
            Flight own = new Flight(new Flight.Id(key, force));
            Flight flight = board(own);
            if (flight == own) return lead(own, codec, o, deadline, build);
            if (flight.leader == Thread.currentThread()) throw recursive(key);
            Outcome outcome;
            try {
                outcome = Waits.get(flight.landed, deadline - System.nanoTime());
            } catch (TimeoutException error) {
                return impatient(key, codec, o, build);
            }
            if (outcome != null) return follow(key, codec, outcome, build);
        }
    }

    /** The near cache's; and a build that asks for its own key is refused before all else. */
    byte[] localCopy(Key key, boolean force) {
        server.topology.refuseIfClosed();
        if (Builds.isBuilding(this, key)) throw recursive(key);
        byte[] copy = near == null || force ? null : near.get(key);
        if (copy != null) teller.tell("hit", key);
        return copy;
    }

    private static RecursiveBuild recursive(Key key) {
        return new RecursiveBuild("the build of " + key + " asks for " + key + ", and would wait for itself", null);
    }

    /** The flight that a call of this key joins, or leads if it is the one given. */
    Flight board(Flight own) {
        Flight other = flights.putIfAbsent(own.id, own);
        return other == null ? own : other;
    }

    <T> T follow(Key key, Codec<T> codec, Outcome outcome, Build<?, ?> build) throws Exception {
        if (outcome instanceof Outcome.Value value) return codec.decode(value.data());
        if (outcome instanceof Outcome.Failed failed) throw failed.error(key);
        return alone(key, codec, build);
    }

    void invalidate(Collection<Key> keys) throws ServerError, InterruptedException {
        forget(keys);
        try {
            server.invalidate(keys);
        } finally {
            forget(keys);
        }
    }

    void invalidateTags(Collection<String> tags, Duration swr) throws ServerError, InterruptedException {
        tags.forEach(Options::checkTag);
        if (swr != null) Options.time("swr", swr);
        Words words = Words.of("CACHE.INVALIDATETAG").add(tags.size());
        tags.forEach(words::add);
        if (swr != null) words.add("SWR").add(swr.toMillis());
        forgetAll();
        try {
            server.invalidateTags(words);
        } finally {
            forgetAll();
        }
    }

    void outdate(Key key, long version) throws ServerError, InterruptedException {
        Options.checkedVersion(version);
        List<Key> one = List.of(key);
        forget(one);
        try {
            server.outdate(key, version);
        } finally {
            forget(one);
        }
    }

    /** A command that changes the key: who asks after it must not join a build that began before it. */
    Object change(Key key, Words words) throws ServerError, InterruptedException {
        try {
            return server.command(key, words);
        } finally {
            forget(List.of(key));
        }
    }

    /** Whether an outage is for callers to see. */
    boolean raises() {
        return settings.degrade == Settings.Degrade.RAISE;
    }

    void close() {
        server.topology.close();
        threads.close();
    }

    // --- The one that asks ---

    /** Leads the flight to its end, and lands it. */
    <T> T lead(Flight flight, Codec<T> codec, Options o, long deadline, Build<?, ?> build) throws Exception {
        Key key = flight.id.key();
        flight.leader = Thread.currentThread();
        NearCache.Ticket ticket = near == null ? null : near.ask(key);
        try {
            return ask(flight, ticket, codec, o, deadline, build);
        } finally {
            if (ticket != null) near.answered(key, ticket);
            land(flight);
        }
    }

    void land(Flight flight) {
        flights.remove(flight.id, flight);
        flight.landed.complete(flight.outcome);
    }

    private <T> T ask(Flight flight, NearCache.Ticket ticket, Codec<T> codec, Options o, long deadline, Build<?, ?> build) throws Exception {
        Key key = flight.id.key();
        Leases.Answer answer;
        try {
            if (ticket != null && !flight.id.force()) {
                byte[] read = readTracked(key, ticket, deadline);
                if (read != null) return hit(flight, "hit", codec, read);
            }
            answer = leases.ask(key, o, flight.id.force(), deadline);
        } catch (Unavailable outage) {
            if (raises()) throw outage;
            teller.tell("degraded", key, -1, outage);
            return buildWithoutServer(flight, codec, o, deadline, build);
        }
        switch (answer.state()) {
            case "HIT":
                if (ticket != null) near.put(key, ticket, answer.value(), freshFor(answer.number()), answer.sent());
                return hit(flight, "hit", codec, answer.value());
            case "STALE":
                return hit(flight, "stale", codec, answer.value());
            case "REFRESH":
                if (flight.id.force()) return build(answer.lease(), flight, ticket, codec, o, build);
                refresh(answer.lease(), codec, o, build);
                return hit(flight, "refresh", codec, answer.value());
            case "LOCK":
                return build(answer.lease(), flight, ticket, codec, o, build);
            case "PASS":
                flight.outcome = new Outcome.Private();
                return alone(key, codec, build);
            case "FAIL":
                Outcome.Failed failed = Outcome.Failed.by(Words.text(answer.value()), answer.number(), null);
                flight.outcome = failed;
                throw failed.error(key);
            default: // WAIT: the patience is over. No outcome: the next one asks anew
                return impatient(key, codec, o, build);
        }
    }

    private <T> T hit(Flight flight, String event, Codec<T> codec, byte[] value) {
        teller.tell(event, flight.id.key());
        flight.outcome = new Outcome.Value(value);
        return codec.decode(value);
    }

    /** CLIENT TRACKING tells only of what was read, and on the shared connection. */
    private byte[] readTracked(Key key, NearCache.Ticket ticket, long deadline) throws ServerError, InterruptedException {
        if (!server.topology.of(key).mayTrack()) return null;
        long sent = System.nanoTime();
        Server.Reached reached = server.reach(key, (node, alone) -> Words.of("CACHE.GET", key), deadline);
        reached.giveBack();
        Triple reply = Triple.of(reached.reply(), "CACHE.GET");
        if (!reply.state().equals("HIT")) return null;
        near.put(key, ticket, reply.value(), freshFor(reply.number()), sent);
        return reply.value();
    }

    /** As a hit says it: -1 is for ever. */
    private static Duration freshFor(long milliseconds) {
        return milliseconds < 0 ? null : Duration.ofMillis(milliseconds);
    }

    // --- Building ---

    private <T> T build(Lease lease, Flight flight, NearCache.Ticket ticket, Codec<T> codec, Options o, Build<?, ?> build) throws Exception {
        try {
            leases.tie(lease);
            leases.renew(lease);
            return concluded(lease, flight, ticket, codec, o, build);
        } finally {
            if (!lease.ended) leases.conclude(lease, "CACHE.RELEASE"); // whatever was thrown, nothing else would end it
        }
    }

    private <T> T concluded(Lease lease, Flight flight, NearCache.Ticket ticket, Codec<T> codec, Options o, Build<?, ?> build) throws Exception {
        long began = System.nanoTime();
        T own;
        byte[] data;
        Labels labels;
        try {
            Builds.Made made = Builds.run(this, lease.key, false, build);
            data = codec.encode(made.value());
            own = codec.decode(data); // before it is stored: what cannot be read is nobody's
            labels = made.shared() ? Labels.of(lease.node.features, o, made.value()) : null;
        } catch (Exception error) {
            // An interruption says nothing about the source. What the serializer refuses does: a released lease would
            // have every waiter build it again.
            if (error instanceof Builds.Interrupted || Thread.currentThread().isInterrupted()) throw error;
            return failed(lease, flight, codec, o, error, System.nanoTime() - began);
        } catch (Throwable error) { // a StackOverflowError, an assertion: nothing else will end the lease
            teller.tell("failed", lease.key, System.nanoTime() - began, error);
            leases.conclude(lease, "CACHE.FAIL", failing(o, message(error)));
            throw error;
        }
        teller.tell("built", lease.key, System.nanoTime() - began, null);
        if (labels == null) {
            flight.outcome = new Outcome.Private();
            leases.conclude(lease, "CACHE.PASS");
            return own;
        }
        flight.outcome = new Outcome.Value(data);
        long sent = System.nanoTime();
        Object reply = leases.conclude(lease, "CACHE.FILL", new Words().add(data).addAll(labels.words()).sent());
        if (reply != null && ticket != null) near.put(lease.key, ticket, data, labels.fresh(), sent);
        return own;
    }

    private <T> T failed(Lease lease, Flight flight, Codec<T> codec, Options o, Exception error, long took) throws Exception {
        teller.tell("failed", lease.key, took, error);
        byte[] message = message(error);
        Object said = leases.conclude(lease, "CACHE.FAIL", failing(o, message));
        Triple reply = Triple.of(said); // null: the verdict was not taken
        if (reply != null && reply.state().equals("STALE")) {
            Log.error("the build of " + lease.key + " failed, and its old value is served", error);
            flight.outcome = new Outcome.Value(reply.value());
            return codec.decode(reply.value());
        }
        flight.outcome = Outcome.Failed.by(Words.text(message), reply == null ? 0 : reply.number(), error);
        throw error;
    }

    private static byte[][] failing(Options o, byte[] message) {
        Words words = new Words().add(message);
        if (o.backoff != null) words.add("BACKOFF").add(Words.milliseconds(o.backoff));
        return words.sent();
    }

    private void refresh(Lease lease, Codec<?> codec, Options o, Build<?, ?> build) {
        Runnable work = () -> {
            NearCache.Ticket ticket = near == null ? null : near.ask(lease.key);
            try {
                // Its turn may come too late: then another caller has been told to build, or will be.
                if (lease.isOver() || !leases.tie(lease)) leases.conclude(lease, "CACHE.RELEASE");
                else build(lease, new Flight(new Flight.Id(lease.key, false)), ticket, codec, o, build);
            } catch (Throwable error) { // nobody else would hear of it
                if (error instanceof InterruptedException || error instanceof Builds.Interrupted) Thread.currentThread().interrupt();
                Log.error("refreshing " + lease.key + " failed", error);
            } finally {
                if (ticket != null) near.answered(lease.key, ticket);
            }
        };
        try {
            leases.untie(lease);
            threads.background.execute(Surroundings.kept().apply(work));
        } catch (Throwable error) { // the executor is full or closed, or has no thread: the caller has its value
            Log.error("refreshing " + lease.key + " could not be begun", error);
            leases.conclude(lease, "CACHE.RELEASE");
        }
    }

    private <T> T buildWithoutServer(Flight flight, Codec<T> codec, Options o, long deadline, Build<?, ?> build) throws Exception {
        Key key = flight.id.key();
        boolean nested = Builds.isDegraded();
        if (!nested && !degrading.tryAcquire(deadline - System.nanoTime(), TimeUnit.NANOSECONDS)) return impatient(key, codec, o, build);
        try {
            Builds.Made made = Builds.run(this, key, true, build);
            byte[] data = codec.encode(made.value());
            flight.outcome = made.shared() ? new Outcome.Value(data) : new Outcome.Private();
            return codec.decode(data);
        } catch (Exception error) {
            teller.tell("failed", key, -1, error);
            if (!(error instanceof Builds.Interrupted)) flight.outcome = Outcome.Failed.by(Words.text(message(error)), 0, error);
            throw error;
        } finally {
            if (!nested) degrading.release();
        }
    }

    /** Not stored, but decoded from a copy as everybody's is. */
    <T> T alone(Key key, Codec<T> codec, Build<?, ?> build) throws Exception {
        return codec.decode(codec.encode(Builds.run(this, key, false, build).value()));
    }

    <T> T impatient(Key key, Codec<T> codec, Options o, Build<?, ?> build) throws Exception {
        if (o.onTimeout == Options.OnTimeout.BUILD) return alone(key, codec, build);
        List<String> inside = Builds.keys(this);
        String hint = inside.isEmpty() ? "" : " while building " + String.join(" and ", inside) + ": two builds may be waiting for each other";
        throw new WaitTimeout(key + " was not there within " + o.wait.toMillis() + " ms" + hint, null);
    }

    /** A build's exception as a message for everybody: at most what the server takes. */
    private byte[] message(Throwable error) {
        String name = error.getClass().getSimpleName();
        String text = settings.errorText ? textOf(error) : null;
        byte[] bytes = (text == null ? name : name + ": " + text).getBytes(StandardCharsets.UTF_8);
        if (bytes.length <= MESSAGE_LIMIT_BYTES) return bytes;
        int end = MESSAGE_LIMIT_BYTES;
        while ((bytes[end] & 0xc0) == 0x80) end--; // not in the middle of a character
        return java.util.Arrays.copyOf(bytes, end);
    }

    private static String textOf(Throwable error) {
        try {
            return error.getMessage();
        } catch (Throwable mute) { // the class is said, and whoever built it has the exception itself
            return null;
        }
    }

    // --- What changed ---

    private void forget(Collection<Key> keys) {
        if (near != null) near.drop(keys);
        flights.keySet().removeIf(id -> keys.contains(id.key()));
    }

    private void forgetAll() {
        if (near != null) near.dropAll();
        flights.clear();
    }

    private void changed(byte[] key) {
        if (key == null) near.dropAll();
        else near.drop(List.of(Key.of(key)));
    }

    static long nanos(Duration duration) {
        try {
            return duration.toNanos();
        } catch (ArithmeticException longer) {
            return Long.MAX_VALUE / 4;
        }
    }
}
