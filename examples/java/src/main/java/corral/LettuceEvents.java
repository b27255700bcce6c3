package corral;

import io.lettuce.core.RedisClient;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.pubsub.RedisPubSubAdapter;
import io.lettuce.core.pubsub.StatefulRedisPubSubConnection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/**
 * Waits without BLOCK: one connection for all commands and one for events, however many callers wait.
 * The server needs: CONFIG SET notify-keyspace-events Kd
 */
public final class LettuceEvents implements Corral.Transport {
    private final StatefulRedisConnection<String, String> connection;
    private final StatefulRedisPubSubConnection<String, String> events; // subscribes anew after a reconnect
    private final Map<String, Set<Semaphore>> watching = new ConcurrentHashMap<>();

    public LettuceEvents(RedisClient client) {
        connection = client.connect();
        events = client.connectPubSub();
        events.addListener(new RedisPubSubAdapter<>() {
            @Override
            public void message(String channel, String event) {
                if (event.equals("cache.lock")) return; // a lease was granted: there is nothing to fetch yet
                watching.getOrDefault(channel, Set.of()).forEach(Semaphore::release);
            }
        });
    }

    @Override
    public Object call(String command, String... arguments) {
        return LettuceTransport.send(connection, command, arguments);
    }

    @Override
    public List<?> getOrLock(String key, long lease) {
        return (List<?>) call("CACHE.GETORLOCK", key, "LEASE", Long.toString(lease));
    }

    @Override
    public Corral.Watch watch(String key) {
        String channel = "__keyspace@0__:" + key;
        var changed = new Semaphore(0); // keeps an event that comes between an answer and the wait
        synchronized (events) { // first in subscribes, last out unsubscribes
            watching.computeIfAbsent(channel, absent -> ConcurrentHashMap.newKeySet()).add(changed);
            // For each, not only the first: a subscription that failed is made good, and one there is confirmed at once.
            events.sync().subscribe(channel);
        }
        return new Corral.Watch() {
            /** At the latest after the number's ms: a lease that runs out makes no event. */
            @Override
            public void change(long atMostMs) throws InterruptedException {
                if (changed.tryAcquire(atMostMs, TimeUnit.MILLISECONDS)) changed.drainPermits();
            }

            @Override
            public void close() {
                synchronized (events) {
                    watching.get(channel).remove(changed);
                    if (!watching.get(channel).isEmpty()) return;
                    watching.remove(channel);
                    events.async().unsubscribe(channel);
                }
            }
        };
    }

    @Override
    public void close() {
        events.close();
        connection.close();
    }
}
