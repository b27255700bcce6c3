import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import corral.Corral;
import corral.Library;
import corral.NoPermission;
import corral.NotAllAnswered;
import corral.Options;
import corral.Settings;
import corral.jedis.JedisLibrary;
import corral.lettuce.LettuceLibrary;
import java.net.URI;
import java.time.Duration;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import redis.clients.jedis.RedisClient;

/** What is kept, and what reaches the server, when the way there is slow or broken. */
class OutagesTest {
    enum Over {
        LETTUCE(Way::lettuce),
        JEDIS(Way::jedis);

        final Function<Way, Library> library;

        Over(Function<Way, Library> library) {
            this.library = library;
        }

        Corral corral(Way way, Settings settings) {
            return new Corral(library.apply(way), settings.defaults(new Options().ttl(TestServer.MINUTE)));
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_near_copy_of_a_late_answer_does_not_outlive_the_value(Over over) throws Exception {
        try (Way way = new Way(); Corral cache = over.corral(way, new Settings().local(10).localTtl(TestServer.MINUTE))) {
            String key = TestServer.key();
            cache.getOrBuild(TestServer.key(), String.class, () -> "the connection is there");
            way.answersTake(2_500);
            TestServer.ask("CACHE.SET", key, "\"old\"", "PX", "2000");
            assertEquals("old", cache.getOrBuild(key, String.class, () -> "own"));
            way.answersTake(0);
            assertEquals("new", cache.getOrBuild(key, String.class, () -> "new"));
        }
    }

    @Test
    void a_near_cache_may_be_told_to_keep_copies_for_ever() {
        Settings settings = new Settings().local(10).localTtl(Duration.ofSeconds(Long.MAX_VALUE));
        try (Corral cache = new Corral(JedisLibrary.of(TestServer.JEDIS), settings)) {
            String key = TestServer.key();
            assertEquals("v", cache.getOrBuild(key, String.class, () -> "v"));
            TestServer.ask("DEL", key);
            assertEquals("v", cache.getOrBuild(key, String.class, () -> "own"));
        }
    }

    @ParameterizedTest
    @EnumSource
    void what_is_outdated_while_the_connection_breaks_is_outdated_all_the_same(Over over) throws Exception {
        try (Way way = new Way(); Corral cache = over.corral(way, new Settings())) {
            String key = TestServer.key();
            TestServer.ask("CACHE.SET", key, "\"old\"", "PX", "60000", "VERSION", "1");
            assertEquals("old", cache.getOrBuild(key, String.class, () -> "own"));
            way.breaks(2);
            cache.outdate(key, 2);
            assertEquals("new", cache.getOrBuild(key, String.class, () -> "new"));
            way.breaks(Integer.MAX_VALUE);
            NotAllAnswered error = assertThrows(NotAllAnswered.class, () -> cache.outdate(key, 3));
            assertEquals(Set.of("127.0.0.1:" + way.port()), error.nodes().stream().map(name -> name.replace("localhost", "127.0.0.1")).collect(Collectors.toSet()));
        }
    }

    @Test
    void bytes_that_are_no_text_are_invalidated_and_outdated_too() {
        try (Corral cache = new Corral(LettuceLibrary.of(TestServer.LETTUCE), new Settings().defaults(new Options().ttl(TestServer.MINUTE)))) {
            var bytes = cache.bytes();
            byte[] key = (TestServer.key() + "?").getBytes();
            key[key.length - 1] = (byte) 0xff;
            Options first = new Options().version(1L);
            assertEquals(1, bytes.getOrBuild(key, first, () -> new byte[] {1})[0]);
            bytes.invalidate(key);
            assertEquals(2, bytes.getOrBuild(key, first, () -> new byte[] {2})[0]);
            bytes.outdate(key, 2);
            assertEquals(3, bytes.getOrBuild(key, new Options().version(2L), () -> new byte[] {3})[0]);
            assertEquals(4, bytes.refresh(key, new Options().version(2L), () -> new byte[] {4})[0]);
            assertEquals(4, bytes.getOrBuild(key, first, () -> new byte[] {5})[0]);
        }
    }

    @ParameterizedTest
    @EnumSource
    void an_invalidation_that_is_refused_leaves_no_connection_behind(Over over) throws Exception {
        TestServer.ask("ACL", "SETUSER", "reader", "on", ">password", "~*", "&*", "+@all", "-cache.invalidatetag");
        URI url = URI.create(TestServer.URL);
        URI reader = URI.create("redis://reader:password@" + url.getHost() + ":" + url.getPort());
        Library library = over == Over.JEDIS
            ? JedisLibrary.of(RedisClient.create(reader))
            : LettuceLibrary.of(io.lettuce.core.RedisClient.create(TestServer.LETTUCE.getResources(), io.lettuce.core.RedisURI.create(reader)));
        try (Corral cache = new Corral(library)) {
            assertThrows(NoPermission.class, () -> cache.invalidateTags("t"));
            long before = connectionsOf("reader");
            for (int call = 0; call < 5; call++) assertThrows(NoPermission.class, () -> cache.invalidateTags("t"));
            assertEquals(before, connectionsOf("reader"));
        }
    }

    private static long connectionsOf(String user) {
        return TestServer.text(TestServer.ask("CLIENT", "LIST")).lines().filter(line -> line.contains(" user=" + user + " ")).count();
    }
}
