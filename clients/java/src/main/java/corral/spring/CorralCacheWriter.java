package corral.spring;

import corral.ByteCache;
import corral.Corral;
import corral.Options;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.springframework.cache.Cache;
import org.springframework.cache.interceptor.CacheOperationInvoker;
import org.springframework.data.redis.cache.CacheStatistics;
import org.springframework.data.redis.cache.CacheStatisticsCollector;
import org.springframework.data.redis.cache.RedisCacheWriter;

/**
 * Spring's caches over Corral. With {@code @Cacheable(sync = true)}, which comes as {@link #get(String, byte[], Supplier,
 * Duration, boolean)}, a value is built once for all processes. Plain {@code @Cacheable} is a get and later a put: nobody
 * knows in between that a value is being built, and everybody builds.
 */
public final class CorralCacheWriter implements RedisCacheWriter {
    private final Corral corral;
    private final ByteCache cache;
    private final Options options;
    private final CacheStatisticsCollector statistics;

    /** @param options of all values; {@code ttl} and {@code tags} are Spring's */
    public CorralCacheWriter(Corral corral, Options options) {
        this(corral, options.refuseTtlAndTags("ttl is RedisCacheConfiguration.entryTtl, tags are the caches' names"), CacheStatisticsCollector.create());
    }

    private CorralCacheWriter(Corral corral, Options options, CacheStatisticsCollector statistics) {
        this.corral = corral;
        this.cache = corral.bytes();
        this.options = options;
        this.statistics = statistics;
    }

    @Override
    public byte @Nullable [] get(String name, byte[] key) {
        return counted(name, cache.get(key));
    }

    @Override
    public byte[] get(String name, byte[] key, Supplier<byte[]> loader, @Nullable Duration ttl, boolean timeToIdle) {
        Loading loading = new Loading(loader);
        try {
            byte[] value = cache.getOrBuild(key, optionsOf(name, ttl), loading::load);
            statistics.incGets(name);
            if (loading.begun) statistics.incMisses(name);
            else statistics.incHits(name);
            return value;
        } catch (Exception error) {
            throw loading.asSpringHasIt(error);
        }
    }

    /** For {@link CorralCache}: the methods that answer with a future. */
    CompletableFuture<byte[]> getAsync(
        String name, byte[] key, Supplier<? extends CompletionStage<? extends byte[]>> loader, @Nullable Duration ttl) {
        return cache.getOrBuildAsync(key, optionsOf(name, ttl), loader);
    }

    @Override
    public boolean supportsAsyncRetrieve() {
        return true;
    }

    @Override
    public CompletableFuture<byte[]> retrieve(String name, byte[] key, @Nullable Duration ttl) {
        return cache.getAsync(key).thenApply(value -> counted(name, value));
    }

    @Override
    public void put(String name, byte[] key, byte[] value, @Nullable Duration ttl) {
        cache.set(key, value, optionsOf(name, ttl));
        statistics.incPuts(name);
    }

    @Override
    public CompletableFuture<Void> store(String name, byte[] key, byte[] value, @Nullable Duration ttl) {
        return cache.setAsync(key, value, optionsOf(name, ttl)).thenRun(() -> statistics.incPuts(name));
    }

    @Override
    public byte @Nullable [] putIfAbsent(String name, byte[] key, byte[] value, @Nullable Duration ttl) {
        byte[] present = cache.setIfAbsent(key, value, optionsOf(name, ttl));
        if (present == null) statistics.incPuts(name);
        return present;
    }

    @Override
    public void evict(String name, byte[] key) {
        evictIfPresent(name, key);
    }

    @Override
    public boolean evictIfPresent(String name, byte[] key) {
        statistics.incDeletes(name);
        return cache.delete(key);
    }

    /** The whole cache, whatever the pattern: it is forgotten by its tag, and nothing is scanned. */
    @Override
    public void clear(String name, byte[] pattern) {
        cache.purgeTag(tagOf(name));
    }

    @Override
    public boolean invalidate(String name, byte[] pattern) {
        clear(name, pattern);
        return true;
    }

    @Override
    public void clearStatistics(String name) {
        statistics.reset(name);
    }

    @Override
    public CorralCacheWriter withStatisticsCollector(CacheStatisticsCollector collector) {
        return new CorralCacheWriter(corral, options, collector);
    }

    CorralCacheWriter with(Options others) {
        return new CorralCacheWriter(corral, others).withStatisticsCollector(statistics);
    }

    @Override
    public CacheStatistics getCacheStatistics(String name) {
        return statistics.getCacheStatistics(name);
    }

    private byte @Nullable [] counted(String name, byte @Nullable [] value) {
        statistics.incGets(name);
        if (value == null) statistics.incMisses(name);
        else statistics.incHits(name);
        return value;
    }

    private Options optionsOf(String name, @Nullable Duration ttl) {
        boolean forEver = ttl == null || ttl.isZero() || ttl.isNegative();
        return options.ttl(forEver ? null : ttl).tags(tagOf(name));
    }

    /** What all values of a cache carry. */
    static String tagOf(String name) {
        return "spring:" + name;
    }

    /** A method that threw: others are told its own exception, its caller gets the one that Spring unwraps. */
    private static final class Loading {
        private final Supplier<byte[]> loader;
        private boolean begun;
        private @Nullable Exception own;
        private Cache.@Nullable ValueRetrievalException wrapped;

        Loading(Supplier<byte[]> loader) {
            this.loader = loader;
        }

        byte[] load() throws Exception {
            begun = true;
            try {
                return loader.get();
            } catch (Cache.ValueRetrievalException error) {
                Throwable cause = error.getCause() instanceof CacheOperationInvoker.ThrowableWrapper checked ? checked.getOriginal() : error.getCause();
                if (!(cause instanceof Exception exception)) throw error;
                own = exception;
                wrapped = error;
                throw exception;
            }
        }

        RuntimeException asSpringHasIt(Exception error) {
            if (own == error) return wrapped;
            if (error instanceof RuntimeException unchecked) return unchecked;
            throw new IllegalStateException(error.toString(), error);
        }
    }
}
