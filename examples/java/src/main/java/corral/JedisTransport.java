package corral;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import redis.clients.jedis.ConnectionPoolConfig;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.RedisClient;

/** Parked calls have a pool of their own, so that waiters cannot use up the connections that the holder needs to fill. */
public final class JedisTransport implements Corral.Transport {
    private final RedisClient client;
    private final RedisClient parked;
    private final String block;

    public JedisTransport(String host, int port, int block, int mostParked) {
        this.block = Integer.toString(block);
        client = RedisClient.builder().hostAndPort(host, port).build();
        var pool = new ConnectionPoolConfig(); // 8 connections by default
        pool.setMaxTotal(mostParked);
        pool.setMaxIdle(mostParked);
        pool.setMaxWait(Duration.ofMillis(block + 3_000)); // more callers than connections queue for one
        // A reply is given up after 2 s by default, whatever the BLOCK.
        var timeout = DefaultJedisClientConfig.builder().socketTimeoutMillis(block + 3_000).build();
        parked = RedisClient.builder().hostAndPort(host, port).clientConfig(timeout).poolConfig(pool).build();
    }

    @Override
    public Object call(String command, String... arguments) {
        return text(client.sendCommand(() -> command.getBytes(StandardCharsets.UTF_8), arguments));
    }

    @Override
    public List<?> getOrLock(String key, long lease) {
        return (List<?>) text(parked.sendCommand(() -> "CACHE.GETORLOCK".getBytes(StandardCharsets.UTF_8),
                key, "LEASE", Long.toString(lease), "BLOCK", block));
    }

    @Override
    public Corral.Watch watch(String key) {
        return new Corral.AskAgainSoon();
    }

    private static Object text(Object reply) {
        if (reply instanceof byte[] bytes) return new String(bytes, StandardCharsets.UTF_8);
        if (!(reply instanceof List<?> list)) return reply;
        var texts = new ArrayList<>(); // which, unlike List.of, may hold null
        for (Object each : list) texts.add(text(each));
        return texts;
    }

    @Override
    public void close() {
        client.close();
        parked.close();
    }
}
