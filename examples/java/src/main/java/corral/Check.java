package corral;

import io.lettuce.core.RedisClient;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/** Runs getOrBuild through every state against a server with Corral. Arguments: jedis|lettuce|lettuce-events PORT */
public final class Check {
    private static final Corral.Times USUAL = Corral.Times.USUAL;
    private static final ExecutorService THREADS = Executors.newCachedThreadPool();
    private static final List<AutoCloseable> OPEN = new ArrayList<>();
    private static String client;
    private static int port;
    private static RedisClient lettuce;
    private static JedisTransport raw;

    private interface Body {
        void run(String key) throws Exception;
    }

    /** What is expensive: counts its builds, and fails when told to. */
    private record Source(AtomicInteger builds, long takes, String value, String fails, Runnable meanwhile)
            implements Callable<String> {
        static Source of(long takes, String value) {
            return new Source(new AtomicInteger(), takes, value, null, () -> {});
        }

        static Source failing(String message) {
            return new Source(new AtomicInteger(), 200, null, message, () -> {});
        }

        @Override
        public String call() throws Exception {
            builds.incrementAndGet();
            Thread.sleep(takes);
            meanwhile.run();
            if (fails != null) throw new IllegalStateException(fails);
            return value;
        }
    }

    private static Corral connect(int block, Corral.Times times) {
        Corral.Transport transport = switch (client) {
            case "jedis" -> new JedisTransport("127.0.0.1", port, block, 200);
            case "lettuce" -> new LettuceTransport(lettuce, block, 200);
            case "lettuce-events" -> new LettuceEvents(lettuce);
            default -> throw new IllegalArgumentException("no such client: " + client);
        };
        OPEN.add(transport); // closed after the check: background builds still need theirs
        return new Corral(transport, times);
    }

    private static List<String> herd(Corral corral, String key, Source source, int callers) throws Exception {
        var calls = new ArrayList<Future<String>>();
        for (int i = 0; i < callers; i++) {
            calls.add(THREADS.submit(() -> {
                try {
                    return corral.getOrBuild(key, source);
                } catch (Exception error) {
                    return error.getMessage();
                }
            }));
        }
        var got = new ArrayList<String>();
        for (var call : calls) got.add(call.get());
        return got;
    }

    private static Corral usual() {
        return connect(2_000, USUAL);
    }

    private static Corral.Times times(long backoff, long lease, long patience) {
        return new Corral.Times(USUAL.fresh(), USUAL.swr(), USUAL.sie(), backoff, lease, patience);
    }

    private static List<String> all(int n, String value) {
        return Collections.nCopies(n, value);
    }

    private static List<?> state(String key) {
        return ((List<?>) raw.call("CACHE.GET", key)).subList(0, 2);
    }

    private static void becomes(String key, String wanted) throws Exception {
        for (int i = 0; i < 500 && !state(key).toString().equals(wanted); i++) Thread.sleep(10);
        same(state(key).toString(), wanted);
    }

    private static String lock(String key, long lease) {
        return ((List<?>) raw.call("CACHE.GETORLOCK", key, "LEASE", "" + lease)).get(2).toString();
    }

    private static void same(Object got, Object wanted) {
        if (!got.equals(wanted)) throw new AssertionError("got " + got + ", wanted " + wanted);
    }

    private static int passed;
    private static int total;

    private static void check(String name, Body body) throws Exception {
        String key = "example:" + client + ":" + name;
        total++;
        raw.call("DEL", key);
        try {
            body.run(key);
            passed++;
            System.out.println("ok     " + name);
        } catch (Exception | AssertionError error) {
            System.out.println("FAILED " + name + " - " + error);
        }
        for (var each : OPEN) each.close();
        OPEN.clear();
        raw.call("DEL", key);
    }

    public static void main(String[] arguments) throws Exception {
        client = arguments[0];
        port = Integer.parseInt(arguments[1]);
        lettuce = RedisClient.create("redis://127.0.0.1:" + port);
        raw = new JedisTransport("127.0.0.1", port, 0, 1);

        check("a_herd_builds_once", key -> {
            var source = Source.of(200, "v");
            same(herd(usual(), key, source, 100), all(100, "v"));
            same(source.builds.get(), 1);
        });
        check("a_fill_elsewhere_wakes_all", key -> {
            // Who hears of it late finds the value gone, and builds.
            String token = lock(key, 60_000);
            THREADS.submit(() -> {
                Thread.sleep(300);
                return raw.call("CACHE.FILL", key, token, "v", "PX", "2000");
            });
            var source = Source.of(200, "v");
            same(herd(connect(2_000, times(1_000, 10_000, 4_000)), key, source, 20), all(20, "v"));
            same(source.builds.get(), 0);
        });
        check("a_stale_value_is_served_while_one_refreshes", key -> {
            raw.call("CACHE.SET", key, "old", "PX", "1", "SWR", "60000");
            becomes(key, "[STALE, old]");
            var source = Source.of(1_000, "new");
            same(herd(usual(), key, source, 20), all(20, "old"));
            becomes(key, "[HIT, new]");
            same(source.builds.get(), 1);
        });
        check("a_failure_reaches_all_and_leaves_no_lease", key -> {
            var source = Source.failing("source is down");
            var corral = connect(2_000, times(1_500, 10_000, 30_000));
            same(herd(corral, key, source, 20), all(20, "source is down"));
            same(source.builds.get(), 1);
            same(state(key).toString(), "[FAIL, source is down]");
            becomes(key, "[MISS, null]");
            same(herd(corral, key, Source.of(200, "v"), 1), all(1, "v"));
        });
        check("a_failure_serves_the_old_value_where_there_is_one", key -> {
            raw.call("CACHE.SET", key, "old", "PX", "1", "SIE", "60000");
            becomes(key, "[STALE, old]");
            same(herd(usual(), key, Source.failing("source is down"), 20), all(20, "old"));
        });
        check("what_must_not_be_shared_is_built_by_each", key -> {
            raw.call("CACHE.PASS", key, lock(key, 10_000));
            var source = Source.of(200, "v");
            same(herd(usual(), key, source, 10), all(10, "v"));
            same(source.builds.get(), 10);
            same(state(key).toString(), "[PASS, null]");
        });
        check("a_long_build_keeps_its_lease", key -> {
            var source = Source.of(6_500, "v");
            same(herd(connect(2_000, times(1_000, 3_000, 30_000)), key, source, 20), all(20, "v"));
            same(source.builds.get(), 1);
        });
        check("a_short_block_is_asked_again", key -> {
            var source = Source.of(500, "v");
            same(herd(connect(50, USUAL), key, source, 20), all(20, "v"));
            same(source.builds.get(), 1);
        });
        check("patience_ends_in_a_build_that_is_not_stored", key -> {
            String token = lock(key, 60_000);
            same(herd(connect(50, times(1_000, 10_000, 300)), key, Source.of(200, "own"), 1), all(1, "own"));
            same(state(key).toString(), "[MISS, null]");
            same(raw.call("CACHE.FILL", key, token, "v"), "OK");
        });
        check("a_void_fill_is_normal", key -> {
            var source = new Source(new AtomicInteger(), 200, "v", null, () -> raw.call("DEL", key));
            same(herd(usual(), key, source, 1), all(1, "v"));
            same(state(key).toString(), "[MISS, null]");
        });
        check("a_dead_holder_is_succeeded", key -> {
            lock(key, 300);
            var source = Source.of(200, "v");
            same(herd(usual(), key, source, 20), all(20, "v"));
            same(source.builds.get(), 1);
        });

        System.out.println(client + " " + version() + ": " + passed + " of " + total);
        System.exit(passed == total ? 0 : 1);
    }

    /** From the library's file name. */
    private static String version() {
        String library = client.equals("jedis") ? "jedis-" : "lettuce-core-";
        for (String path : System.getProperty("java.class.path").split(java.io.File.pathSeparator)) {
            String name = path.substring(path.lastIndexOf('/') + 1);
            if (name.startsWith(library)) return name.substring(library.length(), name.length() - ".jar".length());
        }
        var manifest = client.equals("jedis") ? redis.clients.jedis.RedisClient.class : RedisClient.class;
        String version = manifest.getPackage().getImplementationVersion();
        return version == null ? "?" : version;
    }
}
