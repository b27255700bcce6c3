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

    public CorralCacheManager(Corral corral, RedisCacheConfiguration configuration, Options options, Map<String, Options> optionsByCache) {
        this(corral, configuration, options, optionsByCache, Map.of());
    }

    /**
     * @param options of all caches: {@code swr}, {@code sie}, {@code wait}, {@code lease}, {@code group} …; {@code ttl} is
     *     the configuration's
     * @param optionsByCache those of single caches instead
     * @param configurationByCache that of single caches instead
     */
    public CorralCacheManager(
        Corral corral, RedisCacheConfiguration configuration, Options options, Map<String, Options> optionsByCache,
        Map<String, RedisCacheConfiguration> configurationByCache) {
        this(new CorralCacheWriter(corral, options), configuration, optionsByCache, configurationByCache);
    }

    private CorralCacheManager(
        CorralCacheWriter writer, RedisCacheConfiguration configuration, Map<String, Options> optionsByCache,
        Map<String, RedisCacheConfiguration> configurationByCache) {
        super(writer, configuration, configurationByCache);
        this.writer = writer;
        this.optionsByCache = Map.copyOf(optionsByCache);
        optionsByCache.values().forEach(writer::with); // refused now, not at a first call
    }

    @Override
    protected RedisCache createRedisCache(String name, @Nullable RedisCacheConfiguration configuration) {
        Options options = optionsByCache.get(name);
        RedisCacheConfiguration resolved = configuration == null ? getDefaultCacheConfiguration() : configuration;
        return new CorralCache(name, options == null ? writer : writer.with(options), resolved);
    }
}
