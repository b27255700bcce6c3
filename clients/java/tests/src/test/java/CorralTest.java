import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import corral.BuildFailed;
import corral.Cached;
import corral.CallInterrupted;
import corral.Corral;
import corral.Event;
import corral.Library;
import corral.Options;
import corral.Settings;
import corral.Type;
import corral.jedis.JedisLibrary;
import corral.lettuce.LettuceLibrary;
import io.lettuce.core.ClientOptions;
import io.lettuce.core.TimeoutOptions;
import java.io.IOException;
import java.time.Duration;
import java.time.LocalDate;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.slf4j.MDC;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.RedisClient;

class CorralTest {
    enum Client {
        LETTUCE {
            @Override
            Library library() {
                return LettuceLibrary.of(TestServer.LETTUCE);
            }
        },
        JEDIS {
            @Override
            Library library() {
                return JedisLibrary.of(TestServer.JEDIS);
            }
        };

        abstract Library library();

        Corral corral() {
            return new Corral(library(), new Settings().defaults(new Options().ttl(TestServer.MINUTE).backoff(TestServer.MINUTE)));
        }
    }

    public record Report(LocalDate day, List<Integer> orders) {}

    public record Day(LocalDate day, int shop) {}

    private static final LocalDate MONDAY = LocalDate.of(2026, 11, 23);

    @ParameterizedTest
    @EnumSource
    void a_record_comes_back_as_a_record_and_a_list_as_a_list_of_its_type(Client client) throws Exception {
        try (Corral cache = client.corral()) {
            String key = TestServer.key();
            Report built = cache.getOrBuild(key, Report.class, () -> new Report(MONDAY, List.of(1, 2)));
            Report read = cache.getOrBuild(key, Report.class, () -> null);
            assertEquals(new Report(MONDAY, List.of(1, 2)), built);
            assertEquals(built, read);
            var reports = new Type<List<Report>>() {};
            List<Report> list = cache.getOrBuild(TestServer.key(), reports, () -> List.of(built));
            assertEquals(built, list.get(0));

            Cached<String, List<Report>> ofDay = cache.cached(TestServer.key() + ":{day}", String.class, reports, new Options(), day -> List.of(built));
            assertEquals(List.of(built, built), List.of(ofDay.apply("monday").get(0), ofDay.refresh("monday").get(0)));
            assertEquals(built, cache.refresh(TestServer.key(), reports, new Options(), () -> List.of(built)).get(0));
            var later = cache.getOrBuildAsync(TestServer.key(), reports, new Options(), () -> CompletableFuture.completedFuture(List.of(built)));
            assertEquals(built, later.get().get(0));
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_builds_checked_exception_comes_to_its_caller_as_it_is(Client client) {
        try (Corral cache = client.corral()) {
            String key = TestServer.key();
            IOException thrown = assertThrows(IOException.class, () -> cache.getOrBuild(key, String.class, CorralTest::failing));
            assertEquals("no disk", thrown.getMessage());
            BuildFailed failed = assertThrows(BuildFailed.class, () -> cache.getOrBuild(key, String.class, () -> "own"));
            assertEquals("IOException: no disk", failed.reason());
            assertTrue(failed.retryAfter().toMillis() > 0);
        }
    }

    private static String failing() throws IOException {
        throw new IOException("no disk");
    }

    @ParameterizedTest
    @EnumSource
    void a_function_of_a_record_has_a_key_of_its_components(Client client) {
        try (Corral cache = client.corral()) {
            String prefix = TestServer.key();
            AtomicInteger builds = new AtomicInteger();
            Cached<Day, Integer> orders = cache.cached(prefix + ":{day}:{shop}", Day.class, Integer.class, day -> builds.incrementAndGet());
            assertEquals(prefix + ":2026-11-23:7", orders.key(new Day(MONDAY, 7)));
            assertEquals(1, orders.apply(new Day(MONDAY, 7)));
            assertEquals(1, orders.apply(new Day(MONDAY, 7)));
            assertEquals(2, orders.refresh(new Day(MONDAY, 7)));
            orders.invalidate(new Day(MONDAY, 7));
            assertEquals(3, orders.apply(new Day(MONDAY, 7)));
            Cached<String, String> one = cache.cached(prefix + "/{name}", String.class, String.class, name -> name + "!");
            assertEquals("a!", one.apply("a"));
            assertEquals(prefix + "/a%3Ab", one.key("a:b"));
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_functions_tags_are_made_of_its_argument_as_it_is(Client client) {
        String prefix = TestServer.key();
        Settings settings = new Settings().defaults(new Options().ttl(TestServer.MINUTE).tags(prefix + "{all}"));
        try (Corral cache = new Corral(client.library(), settings)) {
            Options options = new Options().tags(prefix + "name:{name}", prefix + "names");
            Cached<String, String> ofName = cache.cached(prefix + "/{name}", String.class, String.class, options, name -> name + "!");
            assertEquals(List.of("a:b!", "c!"), List.of(ofName.apply("a:b"), ofName.apply("c")));
            cache.invalidateTags(List.of(prefix + "name:a:b"), Duration.ZERO);
            assertEquals(List.of("MISS", "HIT"), List.of(TestServer.state(ofName.key("a:b")), TestServer.state(ofName.key("c"))));
            assertEquals("c!", ofName.refresh("c"));
            cache.invalidateTags(List.of(prefix + "names"), Duration.ZERO);
            assertEquals("MISS", TestServer.state(ofName.key("c")));

            Options ofDays = new Options().tags(prefix + "day:{day}:{shop}");
            Cached<Day, Integer> orders = cache.cached(prefix + ":{day}:{shop}", Day.class, Integer.class, ofDays, day -> day.shop());
            orders.apply(new Day(MONDAY, 7));
            cache.invalidateTags(List.of(prefix + "day:2026-11-23:7"), Duration.ZERO);
            assertEquals("MISS", TestServer.state(orders.key(new Day(MONDAY, 7))));

            // Those of all calls, of one call and of the value are nobody's template.
            Options ofValue = new Options().tags(value -> List.of(prefix + "{all}"));
            cache.cached(prefix + "/default/{name}", String.class, String.class, name -> name).apply("c");
            cache.cached(prefix + "/value/{name}", String.class, String.class, ofValue, name -> name).apply("c");
            cache.getOrBuild(prefix + "/one", String.class, new Options().tags(prefix + "{all}"), () -> "c");
            cache.invalidateTags(List.of(prefix + "{all}"), Duration.ZERO);
            for (String key : List.of("/default/c", "/value/c", "/one")) assertEquals("MISS", TestServer.state(prefix + key), key);
        }
    }

    @Test
    void a_tag_that_names_what_no_argument_has_is_refused_at_once() {
        try (Corral cache = Client.JEDIS.corral()) {
            Options week = new Options().tags("week:{week}");
            var ofRecord = assertThrows(
                IllegalArgumentException.class, () -> cache.cached("{day}:{shop}", Day.class, Integer.class, week, day -> 1));
            assertEquals("template \"week:{week}\": {week} is no component of Day, which has day, shop", ofRecord.getMessage());
            var ofText = assertThrows(
                IllegalArgumentException.class, () -> cache.cached("day:{day}", String.class, Integer.class, week, day -> 1));
            assertEquals("template \"week:{week}\": {week} is not in the key's template \"day:{day}\"", ofText.getMessage());
        }
    }

    @Test
    void a_refresh_behind_its_caller_keeps_the_mdc_and_leaves_the_threads_own_as_it_was() throws Exception {
        List<String> seen = new CopyOnWriteArrayList<>();
        CompletableFuture<Map<String, String>> after = new CompletableFuture<>();
        Settings settings = new Settings().defaults(new Options().ttl(TestServer.MINUTE).swr(TestServer.MINUTE)).background(work -> new Thread(() -> {
            MDC.put("request", "the thread's own");
            work.run();
            after.complete(MDC.getCopyOfContextMap());
        }).start());
        try (Corral cache = new Corral(Client.LETTUCE.library(), settings)) {
            String key = TestServer.key();
            cache.getOrBuild(key, String.class, () -> "old");
            cache.invalidate(key);
            MDC.put("request", "42");
            String got = cache.getOrBuild(key, String.class, () -> {
                seen.add(MDC.get("request"));
                return "new";
            });
            assertEquals("old", got);
            assertEquals("the thread's own", after.get(30, TimeUnit.SECONDS).get("request"));
            assertEquals(List.of("42"), seen);
            TestServer.until("the new value is there", () -> cache.getOrBuild(key, String.class, () -> "third").equals("new"));
        } finally {
            MDC.clear();
        }
    }

    @Test
    void a_lettuce_client_that_gives_up_after_half_a_second_waits_for_three() throws Exception {
        var uri = io.lettuce.core.RedisURI.create(TestServer.URL);
        uri.setTimeout(Duration.ofMillis(500));
        var impatient = io.lettuce.core.RedisClient.create(TestServer.LETTUCE.getResources(), uri);
        impatient.setOptions(ClientOptions.builder().timeoutOptions(TimeoutOptions.enabled(Duration.ofMillis(500))).build());
        waitsForThreeSeconds(LettuceLibrary.of(impatient));
    }

    @Test
    void a_jedis_client_that_gives_up_after_two_seconds_or_less_waits_for_three() throws Exception {
        waitsForThreeSeconds(Client.JEDIS.library());
        var half = DefaultJedisClientConfig.builder().socketTimeoutMillis(500).blockingSocketTimeoutMillis(500).build();
        var url = java.net.URI.create(TestServer.URL);
        waitsForThreeSeconds(JedisLibrary.of(RedisClient.builder().hostAndPort(url.getHost(), url.getPort()).clientConfig(half).build()));
    }

    private static void waitsForThreeSeconds(Library library) throws Exception {
        String key = TestServer.key();
        Object token = ((List<?>) TestServer.ask("CACHE.GETORLOCK", key, "LEASE", "60000")).get(2);
        List<String> events = new CopyOnWriteArrayList<>();
        Settings settings = new Settings().degrade(Settings.Degrade.RAISE).onEvent((Event event) -> events.add(event.name()));
        try (Corral cache = new Corral(library, settings)) {
            CompletableFuture<String> waiting = CompletableFuture.supplyAsync(() -> cache.getOrBuild(key, String.class, new Options().wait(TestServer.MINUTE), () -> "own"));
            TestServer.parked(1);
            Thread.sleep(3_000);
            assertFalse(waiting.isDone());
            assertEquals("OK", TestServer.text(TestServer.ask("CACHE.FILL", key, token.toString(), "\"theirs\"")));
            assertEquals("theirs", waiting.get(30, TimeUnit.SECONDS));
            assertTrue(events.contains("waited") && !events.contains("degraded"), events::toString);
        }
    }

    @ParameterizedTest
    @EnumSource
    void an_interrupted_waiter_leaves_and_keeps_its_flag(Client client) throws Exception {
        try (Corral cache = client.corral()) {
            String key = TestServer.key();
            Object token = ((List<?>) TestServer.ask("CACHE.GETORLOCK", key, "LEASE", "60000")).get(2);
            CompletableFuture<Boolean> flagged = new CompletableFuture<>();
            Thread caller = new Thread(() -> {
                try {
                    cache.getOrBuild(key, String.class, () -> "own");
                } catch (CallInterrupted error) {
                    flagged.complete(Thread.currentThread().isInterrupted());
                }
            });
            caller.start();
            TestServer.parked(1);
            caller.interrupt();
            assertTrue(flagged.get(30, TimeUnit.SECONDS));
            TestServer.parked(0);
            assertEquals(1L, TestServer.ask("CACHE.RELEASE", key, token.toString()));
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_cancelled_future_cancels_its_build_and_the_next_caller_builds(Client client) throws Exception {
        try (Corral cache = client.corral()) {
            String key = TestServer.key();
            CompletableFuture<String> source = new CompletableFuture<>();
            CountDownLatch begun = new CountDownLatch(1);
            CompletableFuture<String> first = cache.getOrBuildAsync(key, String.class, new Options(), () -> {
                begun.countDown();
                return source;
            });
            assertTrue(begun.await(30, TimeUnit.SECONDS));
            CompletableFuture<String> second = cache.getOrBuildAsync(key, String.class, new Options(), () -> CompletableFuture.completedFuture("second"));
            assertFalse(second.isDone());
            first.cancel(true);
            assertThrows(CancellationException.class, first::get);
            assertEquals("second", second.get(30, TimeUnit.SECONDS));
            TestServer.until("the build's future is cancelled", source::isCancelled);
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_thousand_futures_of_one_key_share_one_build_and_few_threads(Client client) throws Exception {
        try (Corral cache = client.corral()) {
            String key = TestServer.key();
            AtomicInteger builds = new AtomicInteger();
            CompletableFuture<String> source = new CompletableFuture<>();
            List<CompletableFuture<String>> herd = new CopyOnWriteArrayList<>();
            int before = Thread.activeCount();
            for (int caller = 0; caller < 1_000; caller++) {
                herd.add(cache.getOrBuildAsync(key, String.class, new Options(), () -> {
                    builds.incrementAndGet();
                    return source;
                }));
            }
            TestServer.until("the build has begun", () -> builds.get() == 1);
            assertTrue(Thread.activeCount() - before < 50, () -> Thread.activeCount() + " threads, before it were " + before);
            source.complete("v");
            for (CompletableFuture<String> one : herd) assertEquals("v", one.get(30, TimeUnit.SECONDS));
            assertEquals(1, builds.get());
        }
    }

    @ParameterizedTest
    @EnumSource
    void what_must_not_be_shared_is_built_by_everybody(Client client) {
        try (Corral cache = client.corral()) {
            String key = TestServer.key();
            for (String caller : List.of("a", "b")) {
                assertEquals(caller, cache.getOrBuild(key, String.class, () -> {
                    Corral.doNotShare();
                    return caller;
                }));
            }
            assertThrows(IllegalStateException.class, Corral::doNotShare);
        }
    }

    @ParameterizedTest
    @EnumSource
    void bytes_can_be_read_and_written_apart(Client client) {
        try (Corral cache = client.corral()) {
            byte[] key = (TestServer.key() + "\u00e9").getBytes();
            var bytes = cache.bytes();
            Options minute = new Options().ttl(TestServer.MINUTE);
            assertNull(bytes.get(key));
            assertNull(bytes.setIfAbsent(key, new byte[] {0, 1}, minute));
            assertArrayEquals(new byte[] {0, 1}, bytes.setIfAbsent(key, new byte[] {2}, minute));
            bytes.set(key, new byte[] {-1}, minute);
            assertArrayEquals(new byte[] {-1}, bytes.get(key));
            assertTrue(bytes.delete(key));
            assertFalse(bytes.delete(key));
        }
    }

    @ParameterizedTest
    @EnumSource
    void an_error_that_is_no_exception_ends_the_lease_too(Client client) {
        try (Corral cache = client.corral()) {
            String key = TestServer.key();
            assertThrows(StackOverflowError.class, () -> cache.getOrBuild(key, String.class, () -> endless(0)));
            assertInstanceOf(BuildFailed.class, assertThrows(RuntimeException.class, () -> cache.getOrBuild(key, String.class, () -> "own")));
        }
    }

    private static String endless(int depth) {
        return endless(depth + 1) + depth;
    }

    @Test
    void what_is_fresh_for_ever_may_be_said_to_have_windows() {
        Options windows = new Options().swr(TestServer.MINUTE).sie(TestServer.MINUTE).jitter(10);
        try (Corral cache = new Corral(Client.LETTUCE.library(), new Settings().defaults(windows))) {
            String key = TestServer.key();
            assertEquals(7, cache.getOrBuild(key, Integer.class, () -> 7));
            assertEquals("HIT", TestServer.state(key));
        }
    }

    @Test
    void options_out_of_range_are_refused_at_once() {
        assertThrows(IllegalArgumentException.class, () -> new Options().ttl(Duration.ofSeconds(-1)));
        assertThrows(IllegalArgumentException.class, () -> new Options().jitter(101));
        assertThrows(IllegalArgumentException.class, () -> new Options().lease(Duration.ZERO));
        assertThrows(IllegalArgumentException.class, () -> new Settings().degradeLimit(0));
    }
}
