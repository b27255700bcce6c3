package corral;

import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.Supplier;

/** A {@link Corral}'s cache of bytes, with reading and writing apart. */
public final class ByteCache {
    private static final Codec<byte[]> AS_IT_IS = new Codec<>(Serializer.bytes(), byte[].class);
    private final Engine engine;

    ByteCache(Engine engine) {
        this.engine = engine;
    }

    public <E extends Exception> byte[] getOrBuild(byte[] key, Options options, Build<byte[], E> build) throws E {
        return Calls.building(() -> engine.getOrBuild(Key.of(key), AS_IT_IS, options.over(engine.defaults), false, build));
    }

    /** Builds although the value is fresh. */
    public <E extends Exception> byte[] refresh(byte[] key, Options options, Build<byte[], E> build) throws E {
        return Calls.building(() -> engine.getOrBuild(Key.of(key), AS_IT_IS, options.over(engine.defaults), true, build));
    }

    /** See {@link Corral#getOrBuildAsync}. */
    public CompletableFuture<byte[]> getOrBuildAsync(
        byte[] key, Options options, Supplier<? extends CompletionStage<? extends byte[]>> build) {
        return new AsyncCall<>(engine, Key.of(key), AS_IT_IS, options.over(engine.defaults), build).begin();
    }

    /** The fresh value, or null. Takes no lease and builds nothing. Null too while the server is out, unless that is to be thrown. */
    public byte[] get(byte[] key) {
        Key named = Key.of(key);
        return Calls.unchecked(() -> {
            try {
                Triple reply = Triple.of(engine.server.command(named, Words.of("CACHE.GET", named)), "CACHE.GET");
                return reply.state().equals("HIT") ? reply.value() : null;
            } catch (Unavailable outage) {
                if (engine.raises()) throw outage;
                return null;
            }
        });
    }

    public CompletableFuture<byte[]> getAsync(byte[] key) {
        return CompletableFuture.supplyAsync(() -> get(key), engine.threads.async);
    }

    public CompletableFuture<Void> setAsync(byte[] key, byte[] value, Options options) {
        return CompletableFuture.runAsync(() -> set(key, value, options), engine.threads.async);
    }

    /** Stores it whatever is there, and gives it to whoever waits. Not at all while the server is out, unless that is to be thrown. */
    public void set(byte[] key, byte[] value, Options options) {
        write(Key.of(key), value, options, false);
    }

    /** Stores it where there is no fresh value and nobody builds one. Null if it did, else the value that is there, if there is one. */
    public byte[] setIfAbsent(byte[] key, byte[] value, Options options) {
        return write(Key.of(key), value, options, true) instanceof List<?> present ? (byte[]) present.get(1) : null;
    }

    /** See {@link Corral#invalidate}. */
    public void invalidate(byte[]... keys) {
        Corral.invalidate(engine, Arrays.stream(keys).map(Key::of).toList());
    }

    /** See {@link Corral#outdate}. */
    public void outdate(byte[] key, long version) {
        Corral.outdate(engine, Key.of(key), version);
    }

    /** The value is gone, old ones too, and a build under way is not stored. True if something was there. */
    public boolean delete(byte[] key) {
        Key named = Key.of(key);
        return Calls.unchecked(() -> engine.change(named, Words.of("DEL", named))) instanceof Long count && count > 0;
    }

    /** What carries the tag is not served any more, on every master. */
    public void purgeTag(String tag) {
        Calls.unchecked(() -> {
            engine.invalidateTags(List.of(tag), Duration.ZERO);
            return null;
        });
    }

    private Object write(Key key, byte[] value, Options options, boolean ifAbsent) {
        Options all = options.over(engine.defaults);
        return Calls.unchecked(() -> {
            try {
                Features features = engine.server.features(key, false);
                Words words = Words.of("CACHE.SET", key).add(value).addAll(Labels.of(features, all, value).words());
                if (ifAbsent) {
                    features.need("cache.set nx");
                    words.add("NX");
                }
                return engine.change(key, words);
            } catch (Unavailable outage) {
                if (engine.raises()) throw outage;
                return null;
            }
        });
    }
}
