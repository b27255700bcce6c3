package corral;

import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * Values that are built once however many ask for them. Made once for a process, over {@code LettuceLibrary.of(client)}
 * or {@code JedisLibrary.of(client)}; making one talks to no server.
 */
public final class Corral implements AutoCloseable {
    private final Engine engine;

    public Corral(Library library) {
        this(library, new Settings());
    }

    public Corral(Library library, Settings settings) {
        engine = new Engine(library, settings);
    }

    /** The value of {@code key}. {@code build} is called, in this thread, if nobody else is building it. */
    public <T, E extends Exception> T getOrBuild(String key, Class<T> type, Build<? extends T, E> build) throws E {
        return call(Key.of(key), codec(type), engine.defaults, false, build);
    }

    public <T, E extends Exception> T getOrBuild(String key, Class<T> type, Options options, Build<? extends T, E> build) throws E {
        return call(Key.of(key), codec(type), options.over(engine.defaults), false, build);
    }

    /** As above, for a type that is itself generic. */
    public <T, E extends Exception> T getOrBuild(String key, Type<T> type, Build<? extends T, E> build) throws E {
        return call(Key.of(key), codec(type), engine.defaults, false, build);
    }

    public <T, E extends Exception> T getOrBuild(String key, Type<T> type, Options options, Build<? extends T, E> build) throws E {
        return call(Key.of(key), codec(type), options.over(engine.defaults), false, build);
    }

    /** Builds although the value is fresh. */
    public <T, E extends Exception> T refresh(String key, Class<T> type, Options options, Build<? extends T, E> build) throws E {
        return call(Key.of(key), codec(type), options.over(engine.defaults), true, build);
    }

    public <T, E extends Exception> T refresh(String key, Type<T> type, Options options, Build<? extends T, E> build) throws E {
        return call(Key.of(key), codec(type), options.over(engine.defaults), true, build);
    }

    /**
     * Answers with a future, and takes a thread only for whoever asks the server or builds, not for those who join them.
     * Cancelling it cancels the build's own future, and the lease goes to the next caller.
     */
    public <T> CompletableFuture<T> getOrBuildAsync(
        String key, Class<T> type, Options options, Supplier<? extends CompletionStage<? extends T>> build) {
        return new AsyncCall<>(engine, Key.of(key), codec(type), options.over(engine.defaults), build).begin();
    }

    public <T> CompletableFuture<T> getOrBuildAsync(
        String key, Type<T> type, Options options, Supplier<? extends CompletionStage<? extends T>> build) {
        return new AsyncCall<>(engine, Key.of(key), codec(type), options.over(engine.defaults), build).begin();
    }

    /** A function of one argument: {@code {name}} in the template, and in tags, is a component of it if it is a record, else it itself. */
    public <A, V> Cached<A, V> cached(String template, Class<A> arguments, Class<V> type, Function<? super A, ? extends V> function) {
        return cached(template, arguments, type, new Options(), function);
    }

    public <A, V> Cached<A, V> cached(
        String template, Class<A> arguments, Class<V> type, Options options, Function<? super A, ? extends V> function) {
        return cached(new Template<>(template, arguments), codec(type), options, function);
    }

    public <A, V> Cached<A, V> cached(
        String template, Class<A> arguments, Type<V> type, Options options, Function<? super A, ? extends V> function) {
        return cached(new Template<>(template, arguments), codec(type), options, function);
    }

    private <A, V> Cached<A, V> cached(
        Template<A> template, Codec<V> codec, Options options, Function<? super A, ? extends V> function) {
        Options all = options.over(engine.defaults);
        Function<A, String[]> tags = template.tags(options.fixedTags);
        Function<A, Options> of = tags == null ? given -> all : given -> all.tags(tags.apply(given));
        return new Cached<>(
            this, template,
            (key, given) -> call(Key.of(key), codec, of.apply(given), false, () -> function.apply(given)),
            (key, given) -> call(Key.of(key), codec, of.apply(given), true, () -> function.apply(given)));
    }

    /** Called within a build: its value is its caller's only, and for a while everybody builds for himself. */
    public static void doNotShare() {
        if (!Builds.doNotShare()) throw new IllegalStateException("doNotShare() is called in a build, by the thread that runs it");
    }

    /** Stale from now on; a build under way is not stored. Throws {@link NotAllAnswered} if a node did not take it. */
    public void invalidate(String... keys) {
        invalidate(engine, Arrays.stream(keys).map(Key::of).toList());
    }

    static void invalidate(Engine engine, List<Key> keys) {
        Calls.unchecked(() -> {
            engine.invalidate(keys);
            return null;
        });
    }

    /** What carries one of the tags is stale from now on, on every master, and served for as long as its windows allow. */
    public void invalidateTags(String... tags) {
        invalidateTags(List.of(tags), null);
    }

    /** @param swr caps how long old values are served; zero: they are not */
    public void invalidateTags(List<String> tags, Duration swr) {
        if (tags.isEmpty()) return;
        Calls.unchecked(() -> {
            engine.invalidateTags(tags, swr);
            return null;
        });
    }

    /**
     * The source has at least this version: what is older is stale, and not stored any more. Throws
     * {@link NotAllAnswered} if the key's node did not take it.
     */
    public void outdate(String key, long version) {
        outdate(engine, Key.of(key), version);
    }

    static void outdate(Engine engine, Key key, long version) {
        Calls.unchecked(() -> {
            engine.outdate(key, version);
            return null;
        });
    }

    /** What the server's module can and what the user may. The first call in a process does this by itself. */
    public Features check() {
        return check("corral:check");
    }

    /** @param key one that the user may read and write */
    public Features check(String key) {
        return Calls.unchecked(() -> engine.server.features(Key.of(key), true));
    }

    /** The same cache, of bytes, with reading and writing apart: for frameworks that have a get and a put. */
    public ByteCache bytes() {
        return new ByteCache(engine);
    }

    /** Closes its own connections. The client that it was given stays open. */
    @Override
    public void close() {
        engine.close();
    }

    private <T> Codec<T> codec(Class<T> type) {
        return new Codec<>(engine.serializer, Objects.requireNonNull(type, "type"));
    }

    private <T> Codec<T> codec(Type<T> type) {
        return new Codec<>(engine.serializer, type.named);
    }

    private <T, E extends Exception> T call(Key key, Codec<T> codec, Options options, boolean force, Build<? extends T, E> build) throws E {
        Objects.requireNonNull(build, "build");
        return Calls.building(() -> engine.getOrBuild(key, codec, options, force, build));
    }
}
