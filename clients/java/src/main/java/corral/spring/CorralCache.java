package corral.spring;

import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;
import org.springframework.data.redis.cache.RedisCache;
import org.springframework.data.redis.cache.RedisCacheConfiguration;

/** Spring's RedisCache, whose {@code retrieve(key, supplier)} by itself is a get and a put without anything between. */
public class CorralCache extends RedisCache {
    private final CorralCacheWriter writer;

    protected CorralCache(String name, CorralCacheWriter writer, RedisCacheConfiguration configuration) {
        super(name, writer, configuration);
        this.writer = writer;
        if (configuration.isTimeToIdleEnabled()) {
            throw new IllegalArgumentException("cache " + name + ": a hit does not lengthen a value's life, so there is no time-to-idle");
        }
    }

    /** Built once for all processes, as with {@code sync = true}; for methods that answer with a future or a Mono. */
    @Override
    public <T> CompletableFuture<T> retrieve(Object key, Supplier<CompletableFuture<T>> loader) {
        byte[] cacheKey = serializeCacheKey(createCacheKey(key));
        Supplier<CompletableFuture<byte[]>> building = () -> loader.get().thenApply(value -> serializeCacheValue(toStoreValue(value)));
        return writer.getAsync(getName(), cacheKey, building, getCacheConfiguration().getTtlFunction().getTimeToLive(key, null))
            .thenApply(bytes -> {
                @SuppressWarnings("unchecked")
                T value = (T) fromStoreValue(deserializeCacheValue(bytes));
                return value;
            });
    }
}
