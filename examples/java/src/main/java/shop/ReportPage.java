package shop;

import corral.Corral;
import corral.Options;
import corral.lettuce.LettuceLibrary;
import corral.spring.CorralCacheManager;
import java.time.Duration;
import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cache.CacheManager;
import org.springframework.cache.annotation.EnableCaching;
import org.springframework.context.annotation.Bean;
import org.springframework.data.redis.cache.RedisCacheConfiguration;
import org.springframework.data.redis.connection.lettuce.LettuceConnectionFactory;

/**
 * A page over SQLite whose slow query runs once for all processes:
 * {@code java -jar target/corral-examples-0.1.0.jar --server.port=8080}, then {@code curl localhost:8080/report/monday}.
 */
@SpringBootApplication
@EnableCaching
public class ReportPage {
    public static void main(String[] arguments) {
        SpringApplication.run(ReportPage.class, arguments);
    }

    /** With connections of its own, made as Boot's are. */
    @Bean
    Corral corral(LettuceConnectionFactory redis) {
        return new Corral(LettuceLibrary.of(redis.getRequiredNativeClient()));
    }

    /** Fresh for a minute, served for another half while one caller renews it, and for an hour if that fails. */
    @Bean
    CacheManager cacheManager(Corral corral) {
        RedisCacheConfiguration minute = RedisCacheConfiguration.defaultCacheConfig().entryTtl(Duration.ofMinutes(1));
        return new CorralCacheManager(corral, minute, new Options().swr(Duration.ofSeconds(30)).sie(Duration.ofHours(1)), Map.of());
    }
}
