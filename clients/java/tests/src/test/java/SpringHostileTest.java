import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import corral.BuildFailed;
import corral.Corral;
import corral.Options;
import corral.lettuce.LettuceLibrary;
import corral.spring.CorralCacheManager;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.cache.Cache;
import org.springframework.cache.annotation.CacheEvict;
import org.springframework.cache.annotation.CachePut;
import org.springframework.cache.annotation.Cacheable;
import org.springframework.cache.annotation.EnableCaching;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.data.redis.cache.RedisCache;
import org.springframework.data.redis.cache.RedisCacheConfiguration;

/** What Spring's annotations, names, configurations and loaders may ask of the caches. */
class SpringHostileTest {
    private static final RedisCacheConfiguration MINUTE = RedisCacheConfiguration.defaultCacheConfig().entryTtl(TestServer.MINUTE);
    private static final AtomicInteger CALLS = new AtomicInteger();

    @Configuration
    @EnableCaching
    static class Application {
        @Bean(destroyMethod = "close")
        Corral corral() {
            return new Corral(LettuceLibrary.of(TestServer.LETTUCE));
        }

        @Bean
        CorralCacheManager cacheManager(Corral corral) {
            CorralCacheManager manager = new CorralCacheManager(
                corral, MINUTE, new Options().backoff(TestServer.MINUTE), Map.of(),
                Map.of("short", MINUTE.entryTtl(Duration.ofSeconds(5)), "no nulls", MINUTE.disableCachingNullValues()));
            manager.setTransactionAware(true);
            return manager;
        }

        @Bean
        Pages pages() {
            return new Pages();
        }
    }

    static class Pages {
        @Cacheable(cacheNames = "unless", unless = "#result == null", condition = "#p0 != 'never'")
        public String unless(String day) {
            int call = CALLS.incrementAndGet();
            return day.startsWith("null") ? null : day + call;
        }

        @Cacheable(cacheNames = "no nulls", sync = true)
        public String noNulls(String day) {
            return null;
        }

        @CachePut("unless")
        public String put(String day) {
            return "put";
        }

        @CacheEvict(cacheNames = "unless", allEntries = true, beforeInvocation = true)
        public void forget() {
            throw new IllegalStateException("after it");
        }

        @Cacheable(cacheNames = "future", sync = true)
        public CompletableFuture<String> failing(String day) {
            return CompletableFuture.failedFuture(new IOException("no disk"));
        }
    }

    static AnnotationConfigApplicationContext application;
    static CorralCacheManager manager;
    static Pages pages;

    @BeforeAll
    static void start() {
        application = new AnnotationConfigApplicationContext(Application.class);
        manager = application.getBean(CorralCacheManager.class);
        pages = application.getBean(Pages.class);
    }

    @AfterAll
    static void stop() {
        application.close();
    }

    @Test
    void unless_condition_put_and_evict_of_all_do_what_spring_says() {
        String day = TestServer.key();
        assertEquals(pages.unless(day), pages.unless(day));
        assertNull(pages.unless("null" + day));
        int before = CALLS.get();
        pages.unless("null" + day);
        pages.unless("never");
        pages.unless("never");
        assertEquals(before + 3, CALLS.get());
        pages.put(day);
        assertEquals("put", pages.unless(day));
        assertThrows(IllegalStateException.class, pages::forget);
        assertTrue(pages.unless(day).startsWith(day));
    }

    @Test
    void a_loaders_checked_exception_is_wrapped_as_springs_contract_says() {
        Cache cache = manager.getCache("loader");
        String key = TestServer.key();
        IOException thrown = new IOException("no disk");
        var wrapped = assertThrows(Cache.ValueRetrievalException.class, () -> cache.get(key, () -> {
            throw thrown;
        }));
        assertSame(thrown, wrapped.getCause());
        assertEquals(key, wrapped.getKey());
        assertEquals("IOException: no disk", assertThrows(BuildFailed.class, () -> cache.get(key, () -> "own")).reason());
        InterruptedException interrupted = new InterruptedException("in the loader");
        var left = assertThrows(Cache.ValueRetrievalException.class, () -> cache.get(TestServer.key(), () -> {
            throw interrupted;
        }));
        assertSame(interrupted, left.getCause());
    }

    @Test
    void a_null_that_must_not_be_cached_is_the_error_that_spring_has_for_it() {
        String day = TestServer.key();
        assertThrows(IllegalArgumentException.class, () -> pages.noNulls(day));
    }

    @Test
    void each_cache_has_the_time_it_was_configured_with() {
        String key = TestServer.key();
        manager.getCache("short").put(key, "v");
        manager.getCache("long").put(key, "v");
        assertTrue(((Number) ((java.util.List<?>) TestServer.ask("CACHE.GET", "short::" + key)).get(2)).longValue() <= 5_000);
        assertTrue(((Number) ((java.util.List<?>) TestServer.ask("CACHE.GET", "long::" + key)).get(2)).longValue() > 5_000);
    }

    @Test
    void what_is_spring_s_to_say_is_refused_where_it_would_not_be_heard() {
        Corral corral = application.getBean(Corral.class);
        for (Options options : new Options[] {new Options().ttl(TestServer.MINUTE), new Options().tags("t")}) {
            assertThrows(IllegalArgumentException.class, () -> new CorralCacheManager(corral, MINUTE, options, Map.of()));
            assertThrows(IllegalArgumentException.class, () -> new CorralCacheManager(corral, MINUTE, new Options(), Map.of("one", options)));
        }
    }

    @Test
    void caches_of_any_name_are_kept_and_cleared() {
        for (String name : new String[] {"a:b::c", "{x}*[?]", "ümläut\u0000", "n".repeat(248), "\ud83d\ude00"}) {
            Cache cache = manager.getCache(name);
            cache.put("k", "v");
            assertEquals("v", cache.get("k", String.class), name);
            cache.clear();
            assertNull(cache.get("k"), name);
        }
        assertThrows(IllegalArgumentException.class, () -> manager.getCache("n".repeat(249)).put("k", "v"));
    }

    @Test
    void statistics_are_counted() {
        RedisCache cache = (RedisCache) new CorralCacheManager(application.getBean(Corral.class), MINUTE).getCache("counted");
        cache.clear();
        String key = TestServer.key();
        cache.get(key);
        cache.get(key, () -> "v");
        cache.get(key, () -> "v");
        cache.evict(key);
        var counted = cache.getStatistics();
        assertEquals(java.util.List.of(3L, 1L, 2L, 1L), java.util.List.of(counted.getGets(), counted.getHits(), counted.getMisses(), counted.getDeletes()));
    }

    @Test
    void a_future_that_fails_fails_with_its_own_exception() {
        String day = TestServer.key();
        var failed = assertThrows(ExecutionException.class, () -> pages.failing(day).get(30, TimeUnit.SECONDS));
        assertEquals(IOException.class, failed.getCause().getClass());
        Cache cache = manager.getCache("future");
        var none = assertThrows(Exception.class, () -> cache.retrieve(TestServer.key(), () -> null).get(30, TimeUnit.SECONDS));
        assertTrue(none instanceof ExecutionException, none::toString);
    }
}
