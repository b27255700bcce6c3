import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import corral.BuildFailed;
import corral.CallInterrupted;
import corral.Corral;
import corral.Event;
import corral.Library;
import corral.Options;
import corral.RecursiveBuild;
import corral.Serializer;
import corral.Settings;
import corral.jedis.JedisLibrary;
import corral.lettuce.LettuceLibrary;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.slf4j.MDC;

/** Builds, hooks, options and executors that do what nobody should. */
@org.junit.jupiter.api.Timeout(40)
class HostileTest {
    private static final Duration TOO_LONG = Duration.ofSeconds(Long.MAX_VALUE);
    private static final Options KEPT = new Options().ttl(TestServer.MINUTE).backoff(TestServer.MINUTE);

    static final class Mute extends RuntimeException {
        @Override
        public String getMessage() {
            throw new IllegalStateException("no text either");
        }
    }

    /** Written, but not to be read. */
    public static final class OneWay {
        public final int number;

        public OneWay(int number, String other) {
            this.number = number;
        }
    }

    private static long leases(String prefix) {
        var live = (List<?>) TestServer.ask("CACHE.LEASES", "COUNT", "1000");
        return live.stream().filter(lease -> TestServer.text(((List<?>) lease).get(0)).startsWith(prefix)).count();
    }

    private static long connections() {
        return TestServer.text(TestServer.ask("CLIENT", "LIST")).lines().count();
    }

    @ParameterizedTest
    @EnumSource
    void an_exception_without_a_text_ends_its_lease_as_others_do(CorralTest.Client client) {
        try (Corral cache = client.corral()) {
            String key = TestServer.key();
            Mute thrown = new Mute();
            assertSame(thrown, assertThrows(Mute.class, () -> cache.getOrBuild(key, String.class, () -> {
                throw thrown;
            })));
            var failed = assertThrows(BuildFailed.class, () -> cache.getOrBuild(key, String.class, new Options().wait(Duration.ZERO), () -> "own"));
            assertEquals("Mute", failed.reason());
            assertEquals(0, leases(key));
        }
    }

    @ParameterizedTest
    @EnumSource
    void an_old_value_is_served_although_the_failure_has_no_text(CorralTest.Client client) {
        try (Corral cache = client.corral()) {
            String key = TestServer.key();
            Options old = new Options().sie(TestServer.MINUTE);
            cache.getOrBuild(key, String.class, old, () -> "old");
            cache.invalidate(key);
            assertEquals("old", cache.getOrBuild(key, String.class, old, () -> {
                throw new Mute();
            }));
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_hook_that_throws_errors_is_no_callers_concern(CorralTest.Client client) {
        Settings settings = new Settings().defaults(KEPT).onEvent((Event event) -> {
            throw new NoClassDefFoundError("io/opentelemetry/api");
        });
        try (Corral cache = new Corral(client.library(), settings)) {
            String key = TestServer.key();
            assertEquals("v", cache.getOrBuild(key, String.class, () -> "v"));
            assertEquals("v", cache.getOrBuild(key, String.class, () -> "own"));
            assertEquals(0, leases(key));
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_hook_that_asks_for_the_key_it_is_told_of_does_not_wait_for_itself(CorralTest.Client client) {
        Corral[] cache = new Corral[1];
        List<Exception> seen = new CopyOnWriteArrayList<>();
        Options patient = new Options().wait(TestServer.MINUTE);
        Settings settings = new Settings().defaults(KEPT).onEvent((Event event) -> {
            try {
                cache[0].getOrBuild(event.key(), String.class, patient, () -> "of the hook");
            } catch (RuntimeException error) {
                seen.add(error);
            }
        });
        cache[0] = new Corral(client.library(), settings);
        try (Corral closed = cache[0]) {
            assertEquals("v", closed.getOrBuild(TestServer.key(), String.class, patient, () -> "v"));
            assertEquals(List.of(RecursiveBuild.class), seen.stream().map(Object::getClass).toList());
        }
    }

    @Test
    void what_the_server_would_refuse_is_refused_before() {
        List<Function<Duration, Options>> durations = List.of(
            given -> new Options().ttl(given), given -> new Options().swr(given), given -> new Options().sie(given),
            given -> new Options().lease(given), given -> new Options().backoff(given));
        for (var option : durations) {
            String message = assertThrows(IllegalArgumentException.class, () -> option.apply(TOO_LONG)).getMessage();
            assertTrue(message.contains(TOO_LONG.toString()), message);
        }
        String tooLong = "t".repeat(256);
        for (String tag : new String[] {"", tooLong, "\udc00", null}) {
            assertThrows(IllegalArgumentException.class, () -> new Options().tags("t", tag), () -> "tag " + tag);
        }
        assertThrows(IllegalArgumentException.class, () -> new Options().tags(Collections.nCopies(33, "t").toArray(String[]::new)));
        assertThrows(IllegalArgumentException.class, () -> new Options().version(-1));
        assertThrows(IllegalArgumentException.class, () -> new Options().version(1L << 53));
        for (String group : List.of("", "a b", tooLong)) assertThrows(IllegalArgumentException.class, () -> new Options().group(group), group);
        new Options().wait(TOO_LONG).tags("t".repeat(255)).version(0).group("a.b_c:d-1");
        new Settings().localTtl(TOO_LONG);
    }

    @ParameterizedTest
    @EnumSource
    void a_call_that_the_server_would_refuse_is_refused_before(CorralTest.Client client) {
        try (Corral cache = client.corral()) {
            assertThrows(IllegalArgumentException.class, () -> cache.invalidateTags(""));
            assertThrows(IllegalArgumentException.class, () -> cache.invalidateTags(List.of("t"), Duration.ofSeconds(-1)));
            assertThrows(IllegalArgumentException.class, () -> cache.invalidateTags(List.of("t"), TOO_LONG));
            assertThrows(IllegalArgumentException.class, () -> cache.outdate("k", -1));
            String key = TestServer.key();
            assertThrows(NullPointerException.class, () -> cache.getOrBuild(key, String.class, (corral.Build<String, RuntimeException>) null));
            assertThrows(NullPointerException.class, () -> cache.getOrBuild(key, (Class<String>) null, () -> "v"));
            assertThrows(NullPointerException.class, () -> cache.getOrBuildAsync(key, String.class, new Options(), null));
            assertEquals("v", cache.getOrBuild(key, String.class, () -> "v"), "no caller's mistake is everybody's back-off");
        }
    }

    @ParameterizedTest
    @EnumSource
    void what_a_function_makes_wrong_of_a_value_is_its_builders_error_and_ends_the_lease(CorralTest.Client client) {
        List<String> events = new CopyOnWriteArrayList<>();
        Settings settings = new Settings().defaults(KEPT).onEvent((Event event) -> events.add(event.name()));
        List<Options> wrong = List.of(
            new Options().tags(value -> List.of("")), new Options().tags(value -> Collections.nCopies(33, "t")),
            new Options().tags(value -> Collections.singletonList(null)), new Options().version(value -> -1L), new Options().ttl(value -> TOO_LONG));
        try (Corral cache = new Corral(client.library(), settings)) {
            for (Options options : wrong) {
                String key = TestServer.key();
                assertThrows(IllegalArgumentException.class, () -> cache.getOrBuild(key, String.class, options, () -> "v"));
                var failed = assertThrows(BuildFailed.class, () -> cache.getOrBuild(key, String.class, () -> "own"));
                assertTrue(failed.reason().startsWith("IllegalArgumentException: "), failed.reason());
            }
            assertFalse(events.contains("degraded") || events.contains("not_stored"), events::toString);
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_function_of_the_value_is_asked_once_and_what_is_over_already_is_not_kept(CorralTest.Client client) {
        try (Corral cache = new Corral(client.library(), new Settings().local(10))) {
            AtomicInteger asked = new AtomicInteger();
            String key = TestServer.key();
            cache.getOrBuild(key, String.class, new Options().ttl(value -> {
                if (asked.incrementAndGet() > 1) throw new IllegalStateException("asked again");
                return TestServer.MINUTE;
            }), () -> "v");
            assertEquals("HIT", TestServer.state(key));
            String over = TestServer.key();
            cache.getOrBuild(over, String.class, new Options().ttl(value -> Duration.ofDays(-1)), () -> "v");
            assertEquals("MISS", TestServer.state(over));
        }
    }

    @ParameterizedTest
    @EnumSource
    void what_cannot_be_read_again_is_not_stored(CorralTest.Client client) {
        try (Corral cache = client.corral()) {
            String key = TestServer.key();
            assertThrows(RuntimeException.class, () -> cache.getOrBuild(key, OneWay.class, () -> new OneWay(1, "")));
            assertEquals("FAIL", TestServer.state(key));
            assertThrows(BuildFailed.class, () -> cache.getOrBuild(key, OneWay.class, () -> new OneWay(2, "")));
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_build_may_use_its_bytes_again(CorralTest.Client client) {
        try (Corral cache = new Corral(client.library(), new Settings().serializer(Serializer.bytes()).local(10).localTtl(TestServer.MINUTE))) {
            String key = TestServer.key();
            byte[] buffer = {1};
            cache.getOrBuild(key, byte[].class, () -> buffer);
            buffer[0] = 2;
            assertArrayEquals(new byte[] {1}, cache.getOrBuild(key, byte[].class, () -> buffer));
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_builds_own_interruption_comes_to_its_caller_as_it_is(CorralTest.Client client) {
        try (Corral cache = client.corral()) {
            String key = TestServer.key();
            assertThrows(InterruptedException.class, () -> cache.getOrBuild(key, String.class, () -> {
                throw new InterruptedException("mine");
            }));
            assertEquals("v", cache.getOrBuild(key, String.class, () -> "v"), "and says nothing about the source");
        }
    }

    @ParameterizedTest
    @EnumSource
    void refreshes_that_wait_for_a_place_hold_no_connection(CorralTest.Client client) throws Exception {
        Settings settings = new Settings().defaults(KEPT.swr(TestServer.MINUTE)).backgroundLimit(1);
        CountDownLatch gate = new CountDownLatch(1);
        AtomicInteger builds = new AtomicInteger();
        try (Corral cache = new Corral(client.library(), settings)) {
            String prefix = TestServer.key();
            String[] keys = new String[100];
            for (int number = 0; number < keys.length; number++) {
                keys[number] = prefix + "/" + number;
                TestServer.ask("CACHE.SET", keys[number], "\"old\"", "PX", "60000", "SWR", "60000");
            }
            cache.invalidate(keys);
            long before = connections();
            for (String key : keys) {
                assertEquals("old", cache.getOrBuild(key, String.class, () -> {
                    gate.await();
                    return "new " + builds.incrementAndGet();
                }));
            }
            assertTrue(connections() - before < 10, () -> connections() + " connections, before it were " + before);
            gate.countDown();
            TestServer.until("all are refreshed", () -> builds.get() == keys.length && leases(prefix) == 0);
            assertEquals("HIT", TestServer.state(keys[99]));
        } finally {
            gate.countDown();
        }
    }

    @ParameterizedTest
    @EnumSource
    void an_executor_that_drops_or_refuses_a_refresh_costs_no_connection(CorralTest.Client client) throws Exception {
        List<java.util.concurrent.Executor> executors = List.of(work -> {}, work -> {
            throw new NoClassDefFoundError("of the executor");
        });
        for (var executor : executors) {
            Settings settings = new Settings().defaults(KEPT.swr(TestServer.MINUTE)).background(executor);
            try (Corral cache = new Corral(client.library(), settings)) {
                cache.getOrBuild(TestServer.key(), String.class, () -> "the connection is there");
                long before = connections();
                for (int call = 0; call < 20; call++) {
                    String key = TestServer.key();
                    cache.getOrBuild(key, String.class, () -> "old");
                    cache.invalidate(key);
                    assertEquals("old", cache.getOrBuild(key, String.class, () -> "new"));
                }
                assertTrue(connections() - before < 5, () -> connections() + " connections, before it were " + before);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void tasks_of_the_common_pool_do_not_wait_for_what_lies_under_them(CorralTest.Client client) throws Exception {
        assertTrue(ForkJoinPool.getCommonPoolParallelism() > 1, "where it has one thread, CompletableFuture does not use it");
        try (Corral cache = client.corral()) {
            for (int round = 0; round < 20; round++) {
                String key = TestServer.key();
                Options patient = new Options().wait(TestServer.MINUTE);
                CompletableFuture<List<String>> all = CompletableFuture.supplyAsync(() -> {
                    List<CompletableFuture<String>> many = new ArrayList<>();
                    for (int task = 0; task < 50; task++) {
                        many.add(CompletableFuture.supplyAsync(() -> cache.getOrBuild(key, String.class, patient, () -> "v")));
                    }
                    cache.getOrBuild(key, String.class, patient, () -> "v");
                    return many.stream().map(CompletableFuture::join).toList();
                });
                assertEquals(Collections.nCopies(50, "v"), all.get(30, TimeUnit.SECONDS));
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_future_that_timed_out_or_was_completed_leaves_its_place(CorralTest.Client client) throws Exception {
        try (Corral cache = client.corral()) {
            String key = TestServer.key();
            Object token = ((List<?>) TestServer.ask("CACHE.GETORLOCK", key, "LEASE", "60000")).get(2);
            var waiting = cache.getOrBuildAsync(key, String.class, new Options().wait(TestServer.MINUTE), () -> CompletableFuture.completedFuture("own"));
            TestServer.parked(1);
            var late = assertThrows(java.util.concurrent.ExecutionException.class, () -> waiting.orTimeout(1, TimeUnit.MILLISECONDS).get());
            assertEquals(TimeoutException.class, late.getCause().getClass());
            TestServer.parked(0);
            TestServer.ask("CACHE.RELEASE", key, token.toString());
            CompletableFuture<String> source = new CompletableFuture<>();
            CountDownLatch begun = new CountDownLatch(1);
            var building = cache.getOrBuildAsync(key, String.class, new Options(), () -> {
                begun.countDown();
                return source;
            });
            assertTrue(begun.await(30, TimeUnit.SECONDS));
            building.complete("from elsewhere");
            TestServer.until("the build's future is cancelled", source::isCancelled);
            assertEquals("second", cache.getOrBuild(key, String.class, () -> "second"));
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_future_that_ends_with_an_error_is_its_builders_error(CorralTest.Client client) {
        try (Corral cache = client.corral()) {
            AssertionError thrown = new AssertionError("not so");
            var failed = assertThrows(java.util.concurrent.ExecutionException.class, () ->
                cache.getOrBuildAsync(TestServer.key(), String.class, new Options(), () -> CompletableFuture.failedFuture(thrown)).get(30, TimeUnit.SECONDS));
            assertSame(thrown, failed.getCause());
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_build_of_a_future_has_its_callers_mdc(CorralTest.Client client) throws Exception {
        try (Corral cache = client.corral()) {
            MDC.put("request", "42");
            var seen = cache.getOrBuildAsync(TestServer.key(), String.class, new Options(), () -> CompletableFuture.completedFuture(String.valueOf(MDC.get("request"))));
            assertEquals("42", seen.get(30, TimeUnit.SECONDS));
            MDC.clear();
            var none = cache.getOrBuildAsync(TestServer.key(), String.class, new Options(), () -> CompletableFuture.completedFuture(String.valueOf(MDC.get("request"))));
            assertEquals("null", none.get(30, TimeUnit.SECONDS));
        } finally {
            MDC.clear();
        }
    }

    @ParameterizedTest
    @EnumSource
    void one_that_is_closed_ends_nobody_elses_calls_and_lets_its_builds_end(CorralTest.Client client) throws Exception {
        Library library = client.library();
        Settings settings = new Settings().defaults(KEPT).degrade(Settings.Degrade.RAISE);
        Corral one = new Corral(library, settings);
        try (Corral other = new Corral(library, settings)) {
            assertEquals("v", other.getOrBuild(TestServer.key(), String.class, () -> "v"));
            String key = TestServer.key();
            CountDownLatch begun = new CountDownLatch(1), gate = new CountDownLatch(1);
            CompletableFuture<String> building = CompletableFuture.supplyAsync(() -> {
                try {
                    return one.getOrBuild(key, String.class, new Options().lease(Duration.ofMillis(300)), () -> {
                        begun.countDown();
                        gate.await();
                        return "at the end";
                    });
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
            assertTrue(begun.await(30, TimeUnit.SECONDS));
            one.close();
            assertEquals("v", other.getOrBuild(TestServer.key(), String.class, () -> "v"));
            assertThrows(IllegalStateException.class, () -> one.getOrBuild(TestServer.key(), String.class, () -> "v"));
            assertThrows(IllegalStateException.class, () -> one.invalidateTags("t"));
            Thread.sleep(1_000); // three leases long
            gate.countDown();
            assertEquals("at the end", building.get(30, TimeUnit.SECONDS));
            assertEquals("HIT", TestServer.state(key));
        }
    }

    @ParameterizedTest
    @EnumSource
    void those_that_are_made_and_closed_leave_neither_threads_nor_connections(CorralTest.Client client) throws Exception {
        client.corral().close();
        long connections = connections();
        int threads = corralThreads();
        for (int made = 0; made < 200; made++) {
            try (Corral cache = client.corral()) {
                cache.getOrBuild(TestServer.key(), String.class, () -> "v");
            }
        }
        TestServer.until("connections are closed: " + connections, () -> connections() <= connections);
        TestServer.until("threads have ended", () -> corralThreads() <= threads + 4);
    }

    private static int corralThreads() {
        return (int) Thread.getAllStackTraces().keySet().stream().filter(thread -> thread.getName().startsWith("corral")).count();
    }

    @ParameterizedTest
    @EnumSource
    void first_calls_that_are_cancelled_do_not_make_the_server_be_out(CorralTest.Client client) throws Exception {
        for (int round = 0; round < 20; round++) {
            List<String> events = new CopyOnWriteArrayList<>();
            Settings settings = new Settings().defaults(KEPT).onEvent((Event event) -> events.add(event.name()));
            try (Corral cache = new Corral(client.library(), settings)) {
                List<CompletableFuture<String>> calls = new ArrayList<>();
                for (int call = 0; call < 30; call++) {
                    calls.add(cache.getOrBuildAsync(TestServer.key(), String.class, new Options(), () -> CompletableFuture.completedFuture("v")));
                }
                for (int call = 0; call < 30; call += 2) calls.get(call).cancel(true);
                for (int call = 1; call < 30; call += 2) assertEquals("v", calls.get(call).get(30, TimeUnit.SECONDS));
                assertFalse(events.contains("degraded"), events::toString);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_value_that_is_too_large_for_the_server_does_not_make_it_be_out(CorralTest.Client client) {
        TestServer.ask("CONFIG", "SET", "proto-max-bulk-len", "1mb");
        List<String> events = new CopyOnWriteArrayList<>();
        Settings settings = new Settings().defaults(KEPT).onEvent((Event event) -> events.add(event.name()));
        try (Corral cache = new Corral(client.library(), settings)) {
            String key = TestServer.key(), large = "v".repeat(30 << 20);
            assertEquals(large, cache.getOrBuild(key, String.class, () -> large));
            assertEquals("v", cache.getOrBuild(TestServer.key(), String.class, () -> "v"));
            assertFalse(events.contains("degraded"), events::toString);
            assertEquals(0, leases(key));
        } finally {
            TestServer.ask("CONFIG", "SET", "proto-max-bulk-len", "512mb");
        }
    }

    @ParameterizedTest
    @EnumSource
    void ten_thousand_calls_leave_nothing_behind(CorralTest.Client client) throws Exception {
        try (Corral cache = new Corral(client.library(), new Settings().defaults(KEPT.swr(TestServer.MINUTE)).local(100))) {
            String prefix = TestServer.key() + "/";
            Runnable round = () -> {
                for (int call = 0; call < 2_500; call++) {
                    String key = prefix + call % 50;
                    int number = call;
                    try {
                        if (call % 7 == 0) cache.invalidate(key);
                        if (call % 5 == 0) cache.getOrBuildAsync(key, Integer.class, new Options(), () -> CompletableFuture.completedFuture(number)).cancel(true);
                        cache.getOrBuild(key, Integer.class, () -> {
                            if (number % 11 == 0) throw new IllegalStateException();
                            return number;
                        });
                    } catch (IllegalStateException | BuildFailed expected) {
                        // One in eleven.
                    }
                }
            };
            long connections = connections();
            List<Thread> threads = new ArrayList<>();
            for (int thread = 0; thread < 4; thread++) threads.add(new Thread(round));
            threads.forEach(Thread::start);
            for (Thread thread : threads) thread.join();
            TestServer.until("leases have ended", () -> leases(prefix) == 0);
            assertTrue(connections() - connections < 70, () -> connections() + " connections, before it were " + connections);
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_client_that_its_user_closes_while_a_build_runs_costs_no_caller_its_value(CorralTest.Client client) throws Exception {
        var lettuce = io.lettuce.core.RedisClient.create(TestServer.URL);
        var jedis = redis.clients.jedis.RedisClient.create(java.net.URI.create(TestServer.URL));
        boolean isLettuce = client == CorralTest.Client.LETTUCE;
        try (Corral cache = new Corral(isLettuce ? LettuceLibrary.of(lettuce) : JedisLibrary.of(jedis), new Settings().defaults(KEPT))) {
            String key = TestServer.key();
            assertEquals("v", cache.getOrBuild(key, String.class, () -> {
                if (isLettuce) lettuce.shutdown(Duration.ZERO, Duration.ZERO);
                else jedis.close();
                return "v";
            }));
            assertEquals("w", cache.getOrBuild(TestServer.key(), String.class, () -> "w"));
            TestServer.until("the lease has ended", () -> leases(key) == 0);
        } finally {
            lettuce.shutdown();
            jedis.close();
        }
    }

    @ParameterizedTest
    @EnumSource
    void threads_interrupted_at_any_moment_leave_no_lease_and_nobody_parked(CorralTest.Client client) throws Exception {
        String prefix = TestServer.key() + "/";
        List<Throwable> unexpected = new CopyOnWriteArrayList<>();
        try (Corral cache = new Corral(client.library(), new Settings().defaults(KEPT.swr(TestServer.MINUTE)).degrade(Settings.Degrade.RAISE))) {
            cache.getOrBuild(prefix, String.class, () -> "the connection is there");
            var random = new java.util.Random(7);
            List<Thread> threads = new ArrayList<>();
            for (int thread = 0; thread < 6; thread++) {
                Thread caller = new Thread(() -> {
                    for (int call = 0; call < 300; call++) {
                        String key = prefix + call % 20;
                        try {
                            if (call % 3 == 0) cache.invalidate(key);
                            cache.getOrBuild(key, Integer.class, () -> {
                                Thread.sleep(1);
                                return 1;
                            });
                        } catch (InterruptedException | CallInterrupted interrupted) {
                            Thread.interrupted();
                        } catch (BuildFailed closed) {
                            // A waiter that leaves closes its connection: the server may just have made it the builder.
                            if (!closed.reason().equals("the builder died")) unexpected.add(closed);
                        } catch (Throwable error) {
                            unexpected.add(error);
                        }
                    }
                });
                threads.add(caller);
                caller.start();
            }
            while (threads.stream().anyMatch(Thread::isAlive)) {
                threads.get(random.nextInt(threads.size())).interrupt();
                Thread.sleep(random.nextInt(3));
            }
            assertEquals(List.of(), unexpected);
            TestServer.until("leases have ended", () -> leases(prefix) == 0);
            TestServer.parked(0);
            cache.getOrBuild(TestServer.key(), Integer.class, () -> 1);
        }
    }
}
