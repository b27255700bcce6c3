import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import corral.Corral;
import corral.Options;
import corral.lettuce.LettuceLibrary;
import corral.spring.CorralCacheManager;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.cache.Cache;
import org.springframework.cache.CacheManager;
import org.springframework.cache.annotation.CacheEvict;
import org.springframework.cache.annotation.Cacheable;
import org.springframework.cache.annotation.EnableCaching;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.data.redis.cache.RedisCacheConfiguration;

/** Two application contexts are two processes' caches: each has its own Corral. */
class SpringTest {
    @Configuration
    @EnableCaching
    static class Application {
        @Bean(destroyMethod = "close")
        Corral corral() {
            return new Corral(LettuceLibrary.of(TestServer.LETTUCE));
        }

        @Bean
        CacheManager cacheManager(Corral corral) {
            RedisCacheConfiguration minute = RedisCacheConfiguration.defaultCacheConfig().entryTtl(TestServer.MINUTE);
            return new CorralCacheManager(corral, minute, new Options().backoff(TestServer.MINUTE), Map.of("old", new Options().swr(TestServer.MINUTE)));
        }

        @Bean
        Reports reports() {
            return new Reports();
        }
    }

    static class Reports {
        static final AtomicInteger BUILDS = new AtomicInteger();
        static volatile CountDownLatch gate = new CountDownLatch(0);

        @Cacheable(cacheNames = "synchronised", sync = true)
        public String synchronised(String day) throws Exception {
            gate.await();
            if (day.startsWith("bad")) throw new IOException("no disk");
            return day.startsWith("null") ? null : day + " " + BUILDS.incrementAndGet();
        }

        @Cacheable(cacheNames = "future", sync = true)
        public CompletableFuture<String> future(String day) {
            return CompletableFuture.supplyAsync(() -> {
                try {
                    gate.await();
                } catch (InterruptedException error) {
                    throw new IllegalStateException(error);
                }
                return day + " " + BUILDS.incrementAndGet();
            });
        }

        @CacheEvict("synchronised")
        public void evict(String day) {}
    }

    static AnnotationConfigApplicationContext one;
    static AnnotationConfigApplicationContext two;

    @BeforeAll
    static void start() {
        one = new AnnotationConfigApplicationContext(Application.class);
        two = new AnnotationConfigApplicationContext(Application.class);
    }

    @AfterAll
    static void stop() {
        one.close();
        two.close();
    }

    @Test
    void synchronised_methods_of_all_instances_run_once() throws Exception {
        String day = TestServer.key();
        Reports.gate = new CountDownLatch(1);
        int before = Reports.BUILDS.get();
        List<CompletableFuture<String>> callers = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int caller = 0; caller < 40; caller++) {
            Reports reports = (caller % 2 == 0 ? one : two).getBean(Reports.class);
            CompletableFuture<String> answer = new CompletableFuture<>();
            callers.add(answer);
            threads.add(new Thread(() -> {
                try {
                    answer.complete(reports.synchronised(day));
                } catch (Exception error) {
                    answer.completeExceptionally(error);
                }
            }));
        }
        threads.forEach(Thread::start);
        TestServer.parked(1); // the other instance, once
        Reports.gate.countDown();
        for (CompletableFuture<String> caller : callers) assertEquals(day + " " + (before + 1), caller.get(30, TimeUnit.SECONDS));
        assertEquals(before + 1, Reports.BUILDS.get());
    }

    @Test
    void methods_that_answer_with_a_future_run_once_too() throws Exception {
        String day = TestServer.key();
        Reports.gate = new CountDownLatch(1);
        int before = Reports.BUILDS.get();
        List<CompletableFuture<String>> callers = new ArrayList<>();
        for (int caller = 0; caller < 40; caller++) callers.add((caller % 2 == 0 ? one : two).getBean(Reports.class).future(day));
        TestServer.parked(1);
        Reports.gate.countDown();
        for (CompletableFuture<String> caller : callers) assertEquals(day + " " + (before + 1), caller.get(30, TimeUnit.SECONDS));
    }

    @Test
    void a_methods_own_exception_comes_to_its_caller_and_its_text_to_the_others() {
        String day = "bad" + TestServer.key();
        IOException thrown = assertThrows(IOException.class, () -> one.getBean(Reports.class).synchronised(day));
        assertEquals("no disk", thrown.getMessage());
        var failed = assertThrows(corral.BuildFailed.class, () -> two.getBean(Reports.class).synchronised(day));
        assertEquals("IOException: no disk", failed.reason());
    }

    @Test
    void a_null_is_kept() throws Exception {
        String day = "null" + TestServer.key();
        assertNull(one.getBean(Reports.class).synchronised(day));
        assertNull(two.getBean(Reports.class).synchronised(day));
        assertEquals("HIT", TestServer.state("synchronised::" + day));
    }

    @Test
    void what_is_evicted_in_one_instance_is_built_anew_in_the_other() throws Exception {
        String day = TestServer.key();
        String first = one.getBean(Reports.class).synchronised(day);
        assertEquals(first, two.getBean(Reports.class).synchronised(day));
        one.getBean(Reports.class).evict(day);
        assertNotSame(first, two.getBean(Reports.class).synchronised(day));
    }

    @Test
    void clear_forgets_the_whole_cache_old_values_too_and_no_other() {
        Cache old = one.getBean(CacheManager.class).getCache("old");
        Cache other = one.getBean(CacheManager.class).getCache("other");
        old.put("a", "1");
        other.put("a", "1");
        assertEquals("1", two.getBean(CacheManager.class).getCache("old").get("a", String.class));
        old.clear();
        assertNull(two.getBean(CacheManager.class).getCache("old").get("a"));
        assertEquals("2", old.get("a", () -> "2"), "within swr it would be served, were it not purged");
        assertEquals("1", other.get("a", String.class));
    }

    @Test
    void put_if_absent_answers_with_what_is_there() {
        Cache cache = one.getBean(CacheManager.class).getCache("absent");
        String key = TestServer.key();
        assertNull(cache.putIfAbsent(key, "1"));
        assertEquals("1", cache.putIfAbsent(key, "2").get());
        assertEquals(true, cache.evictIfPresent(key));
        assertEquals(false, cache.evictIfPresent(key));
    }

    @Test
    void a_time_to_idle_is_refused_where_it_is_configured() {
        RedisCacheConfiguration idle = RedisCacheConfiguration.defaultCacheConfig().entryTtl(Duration.ofSeconds(1)).enableTimeToIdle();
        CorralCacheManager manager = new CorralCacheManager(one.getBean(Corral.class), idle);
        assertThrows(IllegalArgumentException.class, () -> manager.getCache("any"));
    }
}
