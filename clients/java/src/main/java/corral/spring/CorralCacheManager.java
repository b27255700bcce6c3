package corral.spring;

import corral.Corral;
import corral.Options;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.springframework.data.redis.cache.RedisCache;
import org.springframework.data.redis.cache.RedisCacheConfiguration;
import org.springframework.data.redis.cache.RedisCacheManager;

/** The CacheManager to be made a bean of. */
public class CorralCacheManager extends RedisCacheManager {
    private final CorralCacheWriter writer;
    private final Map<String, Options> optionsByCache;

    public CorralCacheManager(Corral corral, RedisCacheConfiguration configuration) {
        this(corral, configuration, new Options(), Map.of());
    }

    /**
     * @param options of all caches: {@code swr}, {@code sie}, {@code wait}, {@code lease}, {@code group} …; {@code ttl} is
     *     the configuration's
     * @param optionsByCache those of single caches instead
     */
    public CorralCacheManager(Corral corral, RedisCacheConfiguration configuration, Options options, Map<String, Options> optionsByCache) {
        this(new CorralCacheWriter(corral, options), configuration, optionsByCache);
    }

    private CorralCacheManager(CorralCacheWriter writer, RedisCacheConfiguration configuration, Map<String, Options> optionsByCache) {
        super(writer, configuration);
        this.writer = writer;
        this.optionsByCache = Map.copyOf(optionsByCache);
    }

    @Override
    protected RedisCache createRedisCache(String name, @Nullable RedisCacheConfiguration configuration) {
        Options options = optionsByCache.get(name);
        RedisCacheConfiguration resolved = configuration == null ? getDefaultCacheConfiguration() : configuration;
        return new CorralCache(name, options == null ? writer : writer.with(options), resolved);
    }
}
