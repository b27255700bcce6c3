package corral;

import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** One request to whoever has the key, and what comes of each error that it may meet. */
final class Server {
    /**
     * A reply, and the connection it came over.
     *
     * @param alone whether the connection is its caller's, to be kept or given back
     */
    record Reached(Object reply, Node node, Link link, boolean alone) {
        void giveBack() {
            if (alone) node.give(link);
        }
    }

    /** How a request goes to a node that has been chosen. */
    interface Request {
        Words to(Node node, boolean alone);

        /** Whether it takes a connection of its own. */
        default boolean isAlone(Node node) {
            return !node.isShared();
        }

        /** Whether the server may take its time to answer. */
        default boolean parks() {
            return false;
        }

        /** Of a reply for which nobody waits any more. */
        default void unheard(Node node, Object reply) {}
    }

    // What every user needs, with arguments that are refused after the ACL was asked and before anything is done.
    private static final Map<String, List<String>> NEEDED = new TreeMap<>(Map.of(
        "cache.getorlock", List.of("CORRAL"), "cache.fill", List.of("x", ""), "cache.fail", List.of("x", ""),
        "cache.renew", List.of("x", "x"), "cache.release", List.of("x")));
    private static final Map<String, List<String>> WANTED = new TreeMap<>(Map.of("cache.pass", List.of("x"), "cache.get", List.of()));
    private static final List<String> FIRST_VERSION = List.of(
        "getorlock", "mgetorlock", "fill", "set", "get", "renew", "release", "fail", "pass", "touch", "invalidate", "info", "leases");
    private static final int ATTEMPTS_TO_INVALIDATE = 3;
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(5);

    final Topology topology;
    private final Threads threads;

    Server(Topology topology, Threads threads) {
        this.topology = topology;
        this.threads = threads;
    }

    /** Throws {@link Unavailable} for an outage; {@link NoPermission} and {@link ModuleMissing} always. */
    Reached reach(Key key, Request request, long deadline) throws ServerError, InterruptedException {
        boolean lost = false;
        boolean moved = false;
        Address redirect = null;
        while (true) {
            boolean asks = redirect != null;
            Node node = asks ? topology.at(redirect) : topology.of(key);
            Link link = null;
            Words words = null;
            boolean alone = asks;
            try {
                refuseIfOut(node);
                if (node.features == null) node.features = askFeatures(node, key);
                alone |= request.isAlone(node);
                words = request.to(node, alone);
                link = alone ? node.take() : node.shared();
                if (asks) Replies.of(link, Words.of("ASKING"));
                Object reply = answer(node, link, alone, words.sent(), request);
                if (node.outage.end()) Log.warn(node.name() + " is back");
                return new Reached(reply, node, link, alone);
            } catch (Lost error) {
                if (link != null) link.close();
                if (lost && link != null && words.areRefusable()) throw new Unavailable(node.name() + ": " + error.getMessage(), error);
                if (error.silent || lost || node.outage.error() != null) throw out(node, error);
                lost = true;
                node.dropIdle();
            } catch (ServerError error) {
                if (alone && link != null) node.give(link);
                if (error.kind == ServerError.Kind.OUTAGE) throw out(node, error);
                refuse(node, error);
                if (System.nanoTime() - deadline >= 0) {
                    throw new WaitTimeout(key + ": " + node.name() + " said to ask again until `wait` was over: " + error.getMessage(), error);
                }
                redirect = error.isAsk() ? error.names() : null;
                if (redirect != null) continue;
                boolean again = error.kind != ServerError.Kind.MOVED;
                if (again || moved) pause(deadline); // moved twice: the nodes do not agree yet
                if (!again) refreshed();
                moved = !again;
            }
        }
    }

    private Object answer(Node node, Link link, boolean alone, byte[][] words, Request request)
        throws Lost, ServerError, InterruptedException {
        // A thread that reads from a socket hears of no interruption.
        boolean elsewhere = request.parks() && !topology.library.isShared();
        CompletableFuture<Object> reply = elsewhere
            ? CompletableFuture.supplyAsync(() -> link.send(words), threads.aside).thenCompose(sent -> sent)
            : link.send(words);
        try {
            return Replies.of(reply);
        } catch (InterruptedException error) {
            if (alone) link.close();
            else reply.thenAcceptAsync(late -> request.unheard(node, late), threads.aside);
            throw error;
        }
    }

    Object command(Key key, Words words) throws ServerError, InterruptedException {
        Reached reached = reach(key, (node, alone) -> words, System.nanoTime() + PATIENCE_NANOS);
        reached.giveBack();
        return reached.reply;
    }

    Features features(Key key, boolean anew) throws ServerError, InterruptedException {
        Node node = topology.of(key);
        refuseIfOut(node);
        try {
            if (node.features == null || anew) node.features = askFeatures(node, key);
            return node.features;
        } catch (Lost error) {
            throw out(node, error);
        } catch (ServerError error) {
            if (error.kind == ServerError.Kind.OUTAGE) throw out(node, error);
            refuse(node, error);
            throw error;
        }
    }

    void invalidate(Collection<Key> keys) throws ServerError, InterruptedException {
        if (keys.isEmpty()) return;
        Map<String, Exception> failed = new LinkedHashMap<>();
        // In a cluster one by one: keys of one command must be of one slot.
        if (topology.library.isCluster()) for (Key key : keys) change(key, Words.of("CACHE.INVALIDATE", key), failed);
        else change(keys.iterator().next(), Words.of("CACHE.INVALIDATE", keys.toArray(Key[]::new)), failed);
        if (!failed.isEmpty()) throw new NotAllAnswered(failed);
    }

    void outdate(Key key, long version) throws ServerError, InterruptedException {
        Map<String, Exception> failed = new LinkedHashMap<>();
        try {
            change(key, Words.of("CACHE.OUTDATE", key).add(version), failed);
        } catch (ModuleMissing missing) {
            features(key, false).need("cache.outdate"); // says so itself if there is no module at all
            throw missing;
        }
        if (!failed.isEmpty()) throw new NotAllAnswered(failed);
    }

    /**
     * Tried again, for a lost mark is a stale page for ever. A node that did not take one key is not asked again and again
     * for the next: the others' keys are to be heard of, too.
     */
    private void change(Key key, Words words, Map<String, Exception> failed) throws ServerError, InterruptedException {
        for (int attempt = 1; ; attempt++) {
            try {
                command(key, words);
                return;
            } catch (Unavailable error) {
                Node node = masterOf(key);
                String name = node == null ? "the master of " + key : node.name();
                if (attempt == ATTEMPTS_TO_INVALIDATE || failed.containsKey(name)) {
                    failed.put(name, error);
                    return;
                }
                Thread.sleep(100 + ThreadLocalRandom.current().nextInt(100));
                refreshed();
                if (node != null) triedAgain(node);
            }
        }
    }

    /** To every master there is now, by one connection each; those that did not take it are tried again. */
    void invalidateTags(Words words) throws ServerError, InterruptedException {
        Set<String> done = new HashSet<>();
        Map<String, Exception> failed = Map.of();
        for (int attempt = 1; attempt <= ATTEMPTS_TO_INVALIDATE; attempt++) {
            if (attempt > 1) Thread.sleep(100 + ThreadLocalRandom.current().nextInt(100));
            failed = new LinkedHashMap<>();
            try {
                for (Node node : topology.masters()) {
                    if (done.contains(node.name())) continue;
                    try {
                        node.tell(words);
                        done.add(node.name());
                    } catch (Lost error) {
                        node.dropIdle();
                        failed.put(node.name(), error);
                    } catch (ServerError error) {
                        if (error.kind == ServerError.Kind.MISSING) {
                            throw new Unsupported(node.name() + ": the server's module has no CACHE.INVALIDATETAG", error);
                        }
                        refuse(node, error);
                        node.leave();
                        failed.put(node.name(), error);
                    }
                }
            } catch (Unavailable error) {
                failed.put("every node", error);
            }
            if (failed.isEmpty()) return;
        }
        throw new NotAllAnswered(failed);
    }

    /** In step with others one would ask in vain. */
    static void pause(long deadline) throws InterruptedException {
        long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
        Thread.sleep(Math.max(0, Math.min(left, ThreadLocalRandom.current().nextLong(20, 100))));
    }

    // --- Outages ---

    private void refuseIfOut(Node node) {
        Exception why = node.outage.error();
        if (why == null) return;
        if (node.outage.isDue()) threads.aside.execute(() -> tryAgain(node));
        throw new Unavailable(node.name() + " is out: " + why.getMessage(), why);
    }

    private void tryAgain(Node node) {
        try {
            node.tell(Words.of("PING"));
            node.outage.answers();
        } catch (ServerError error) {
            if (error.kind == ServerError.Kind.OUTAGE) stillOut(node, error);
            else node.outage.answers(); // what it refuses is for callers to see
        } catch (Lost | InterruptedException | RuntimeException error) {
            stillOut(node, error);
        }
    }

    /** It may be back before its pause is over. One that hangs is not waited for. */
    private void triedAgain(Node node) throws InterruptedException {
        try {
            CompletableFuture.runAsync(() -> tryAgain(node), threads.aside).get(1, TimeUnit.SECONDS);
        } catch (TimeoutException hangs) {
            // It is asked by itself when it is due.
        } catch (ExecutionException error) {
            throw new IllegalStateException(error.getCause());
        }
    }

    /** In a cluster a replica may have taken its place meanwhile. */
    private void stillOut(Node node, Exception error) {
        node.outage.begin(error);
        refreshed();
    }

    private Unavailable out(Node node, Exception error) {
        if (node.outage.begin(error)) Log.error(node.name() + " is out: " + error.getMessage(), null);
        node.leave();
        threads.aside.execute(this::refreshed); // the caller need not wait for nodes that may hang as well
        return new Unavailable(node.name() + ": " + error.getMessage(), error);
    }

    /** What is an error for every caller, whatever it prefers. */
    private static void refuse(Node node, ServerError error) throws ServerError {
        switch (error.kind) {
            case DENIED -> throw new NoPermission(node.name() + ": " + error.getMessage(), error);
            case MISSING -> {
                node.features = null;
                throw new ModuleMissing(node.name(), error);
            }
            case OTHER -> throw error;
            default -> { }
        }
    }

    private void refreshed() {
        try {
            topology.refresh();
        } catch (Unavailable | NoPermission gone) {
            // What is known stays; the caller has an error of its own.
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    /** Null if nobody says who that is. */
    private Node masterOf(Key key) throws InterruptedException {
        try {
            return topology.of(key);
        } catch (Unavailable gone) {
            return null;
        }
    }

    // --- What the module can ---

    private Features askFeatures(Node node, Key key) throws Lost, ServerError, InterruptedException {
        // A first call makes no connection that the next does not need.
        boolean alone = !topology.library.isShared();
        Link link = alone ? node.take() : node.shared();
        try {
            Object told = null;
            ServerError refusal = null;
            try {
                told = Replies.of(link, Words.of("CACHE.VERSION"));
            } catch (ServerError error) {
                refusal = error;
            }
            Set<String> missing = new HashSet<>();
            for (var probes : List.of(NEEDED, WANTED)) {
                for (var probe : probes.entrySet()) {
                    if (!isRefused(node, link, key, probe.getKey(), probe.getValue())) continue;
                    missing.add(probe.getKey());
                    if (probes == NEEDED) throw lacking(node, probe.getKey(), null);
                }
            }
            if (refusal == null) return read(told, missing);
            if (isMissingRight(refusal)) throw lacking(node, "cache.version", refusal);
            if (refusal.kind != ServerError.Kind.MISSING) throw refusal;
            Set<String> words = new HashSet<>();
            FIRST_VERSION.forEach(word -> words.add("cache." + word));
            return new Features("of the first version", Set.copyOf(words), Set.copyOf(missing));
        } finally {
            if (alone) node.give(link);
        }
    }

    private static NoPermission lacking(Node node, String command, Throwable cause) {
        return new NoPermission(node.name() + ": the user may not run " + command + ": add +" + command + " to its ACL rules", cause);
    }

    private static boolean isRefused(Node node, Link link, Key key, String command, List<String> arguments)
        throws Lost, InterruptedException {
        Words words = Words.of(command, key);
        arguments.forEach(words::add);
        try {
            Replies.of(link, words);
            return false;
        } catch (ServerError error) {
            if (error.kind == ServerError.Kind.MISSING) throw new ModuleMissing(node.name(), error);
            return isMissingRight(error);
        }
    }

    /** "… no permissions to run the 'cache.fill' command". A refused key is told when it is used. */
    private static boolean isMissingRight(ServerError error) {
        return error.kind == ServerError.Kind.DENIED && error.getMessage().toLowerCase(Locale.ROOT).contains(" run the '");
    }

    private static Features read(Object told, Set<String> missing) {
        Map<String, Object> map = new HashMap<>();
        if (told instanceof Map<?, ?> pairs) {
            pairs.forEach((name, value) -> map.put(Words.text(name), value));
        } else {
            List<?> flat = (List<?>) told;
            for (int at = 0; at < flat.size(); at++) {
                if (flat.get(at) instanceof Map.Entry<?, ?> pair) map.put(Words.text(pair.getKey()), pair.getValue());
                else map.put(Words.text(flat.get(at)), flat.get(++at));
            }
        }
        Set<String> words = new HashSet<>();
        for (String list : List.of("commands", "options")) {
            if (map.get(list) instanceof List<?> named) named.forEach(word -> words.add(Words.text(word).toLowerCase(Locale.ROOT)));
        }
        return new Features(Words.text(map.get("version")), Set.copyOf(words), Set.copyOf(missing));
    }
}
