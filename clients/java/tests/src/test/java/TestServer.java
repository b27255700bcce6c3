import static org.junit.jupiter.api.Assertions.fail;

import io.lettuce.core.RedisURI;
import java.net.URI;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import redis.clients.jedis.RedisClient;

/** The server of REDIS_URL. Keys are each test's own. */
final class TestServer {
    static final String URL = System.getenv().getOrDefault("REDIS_URL", "redis://127.0.0.1:6379");
    static final Duration MINUTE = Duration.ofMinutes(1);
    static final RedisClient JEDIS = RedisClient.create(URI.create(URL));
    static final io.lettuce.core.RedisClient LETTUCE = io.lettuce.core.RedisClient.create(RedisURI.create(URL));
    private static final AtomicInteger LAST = new AtomicInteger();

    private TestServer() {}

    static String key() {
        return "java:" + ProcessHandle.current().pid() + ":" + LAST.incrementAndGet();
    }

    static Object ask(String command, String... arguments) {
        return JEDIS.sendCommand(() -> command.getBytes(), arguments);
    }

    static String state(String key) {
        return text(((java.util.List<?>) ask("CACHE.GET", key)).get(0));
    }

    static String text(Object reply) {
        return reply instanceof byte[] bytes ? new String(bytes) : String.valueOf(reply);
    }

    static void until(String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + 30_000_000_000L;
        while (!condition.call()) {
            if (System.nanoTime() > deadline) fail(what + ": not within 30 s");
            Thread.sleep(5);
        }
    }

    static void parked(int clients) throws Exception {
        until(clients + " parked clients", () -> text(ask("INFO", "corral")).lines().anyMatch(line -> line.strip().equals("corral_waiters:" + clients)));
    }

}
