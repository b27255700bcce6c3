import corral.Corral;
import corral.Library;
import corral.Options;
import corral.Settings;
import corral.jedis.JedisLibrary;
import corral.lettuce.LettuceLibrary;
import io.lettuce.core.api.sync.RedisCommands;
import io.lettuce.core.codec.ByteArrayCodec;
import io.lettuce.core.output.ArrayOutput;
import io.lettuce.core.protocol.CommandArgs;
import io.lettuce.core.protocol.ProtocolKeyword;
import java.net.URI;
import java.time.Duration;
import java.util.Arrays;
import redis.clients.jedis.RedisClient;

/**
 * A hit through the package beside the bare client's GETORLOCK and beside its GET, in turns, so that what else the machine does
 * hits all of them.
 */
public final class Figures {
    private static final int ROUNDS = 9;
    private static final int CALLS = 2_000;
    /** Until the compiler has seen all of it often: the bare call, which is shorter, has it behind it sooner. */
    private static final int WARM_UP = 15;

    private enum Name implements ProtocolKeyword {
        GETORLOCK;

        @Override
        public byte[] getBytes() {
            return "CACHE.GETORLOCK".getBytes();
        }
    }

    public static void main(String[] arguments) {
        String url = arguments[0];
        var lettuce = io.lettuce.core.RedisClient.create(url);
        RedisCommands<byte[], byte[]> bareLettuce = lettuce.connect(ByteArrayCodec.INSTANCE).sync();
        RedisClient jedis = RedisClient.create(URI.create(url));
        jedis.set("figures:plain", "\"value\"");
        compare("Lettuce", LettuceLibrary.of(lettuce), () -> bareLettuce.dispatch(
            Name.GETORLOCK, new ArrayOutput<>(ByteArrayCodec.INSTANCE),
            new CommandArgs<>(ByteArrayCodec.INSTANCE).addKey("figures".getBytes()).add("LEASE").add(10_000)),
            () -> bareLettuce.get("figures:plain".getBytes()));
        compare("Jedis", JedisLibrary.of(jedis), () -> jedis.sendCommand("figures".getBytes(), () -> "CACHE.GETORLOCK".getBytes(),
            "figures".getBytes(), "LEASE".getBytes(), "10000".getBytes()), () -> jedis.get("figures:plain".getBytes()));
        System.exit(0);
    }

    private static void compare(String name, Library library, Runnable bare, Runnable get) {
        Options options = new Options().ttl(Duration.ofMinutes(10));
        Corral cache = new Corral(library, new Settings().defaults(options));
        Corral near = new Corral(library, new Settings().defaults(options).local(100).localTtl(Duration.ofMinutes(10)));
        Runnable hit = () -> cache.getOrBuild("figures", String.class, () -> "value");
        Runnable local = () -> near.getOrBuild("figures", String.class, () -> "value");
        double[] package_ = new double[ROUNDS];
        double[] client = new double[ROUNDS];
        double[] plain = new double[ROUNDS];
        double[] ratio = new double[ROUNDS];
        double[] toPlain = new double[ROUNDS];
        double[] nearby = new double[ROUNDS];
        for (int round = -WARM_UP; round < ROUNDS; round++) {
            double ours = microseconds(hit);
            double theirs = microseconds(bare);
            double gets = microseconds(get);
            double here = microseconds(local);
            if (round < 0) continue;
            package_[round] = ours;
            client[round] = theirs;
            plain[round] = gets;
            ratio[round] = ours / theirs;
            toPlain[round] = ours / gets;
            nearby[round] = here;
        }
        System.out.printf("%s, hit: package %.0f µs, bare GETORLOCK %.0f µs, ratio %.2f; GET %.0f µs, ratio %.2f; near cache %.1f µs%n",
            name, middle(package_), middle(client), middle(ratio), middle(plain), middle(toPlain), middle(nearby));
    }

    private static double microseconds(Runnable call) {
        long began = System.nanoTime();
        for (int done = 0; done < CALLS; done++) call.run();
        return (System.nanoTime() - began) / 1e3 / CALLS;
    }

    private static double middle(double[] values) {
        Arrays.sort(values);
        return values[ROUNDS / 2];
    }
}
