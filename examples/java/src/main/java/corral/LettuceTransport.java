package corral;

import io.lettuce.core.RedisClient;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.codec.StringCodec;
import io.lettuce.core.output.ObjectOutput;
import io.lettuce.core.protocol.CommandArgs;
import io.lettuce.core.protocol.ProtocolKeyword;
import io.lettuce.core.support.ConnectionPoolSupport;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import org.apache.commons.pool2.impl.GenericObjectPool;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;

/** Lettuce sends everything over one connection, where a parked call would hold up every other: those get a pool. */
public final class LettuceTransport implements Corral.Transport {
    private final StatefulRedisConnection<String, String> connection;
    private final GenericObjectPool<StatefulRedisConnection<String, String>> parked;
    private final String block;

    public LettuceTransport(RedisClient client, int block, int mostParked) {
        this.block = Integer.toString(block);
        connection = client.connect();
        var pool = new GenericObjectPoolConfig<StatefulRedisConnection<String, String>>(); // 8 by default
        pool.setMaxTotal(mostParked);
        pool.setMaxIdle(mostParked);
        pool.setMaxWait(Duration.ofMillis(block + 3_000)); // more callers than connections queue for one
        parked = ConnectionPoolSupport.createGenericObjectPool(client::connect, pool);
    }

    @Override
    public Object call(String command, String... arguments) {
        return send(connection, command, arguments);
    }

    @Override
    public List<?> getOrLock(String key, long lease) throws Exception {
        try (var own = parked.borrowObject()) { // closing gives it back
            // Lettuce gives a reply up after 60 s; a shorter setting must stay above BLOCK.
            return (List<?>) send(own, "CACHE.GETORLOCK", key, "LEASE", Long.toString(lease), "BLOCK", block);
        }
    }

    @Override
    public Corral.Watch watch(String key) {
        return new Corral.AskAgainSoon();
    }

    @Override
    public void close() {
        parked.close();
        connection.close();
    }

    static Object send(StatefulRedisConnection<String, String> connection, String command, String... arguments) {
        var args = new CommandArgs<>(StringCodec.UTF8).addKey(arguments[0]);
        for (int i = 1; i < arguments.length; i++) args.add(arguments[i]);
        return connection.sync().dispatch(new Name(command), new ObjectOutput<>(StringCodec.UTF8), args);
    }

    private record Name(String command) implements ProtocolKeyword {
        @Override
        public byte[] getBytes() {
            return command.getBytes(StandardCharsets.US_ASCII);
        }

        @Override
        public String toString() {
            return command;
        }
    }
}
