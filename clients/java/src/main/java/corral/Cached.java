package corral;

import java.util.function.BiFunction;
import java.util.function.Function;

/** A function that answers from the cache, made by {@link Corral#cached}. */
public final class Cached<A, V> implements Function<A, V> {
    private final Corral corral;
    private final Template<A> template;
    private final BiFunction<String, A, V> get;
    private final BiFunction<String, A, V> refresh;

    Cached(Corral corral, Template<A> template, BiFunction<String, A, V> get, BiFunction<String, A, V> refresh) {
        this.corral = corral;
        this.template = template;
        this.get = get;
        this.refresh = refresh;
    }

    @Override
    public V apply(A arguments) {
        return get.apply(key(arguments), arguments);
    }

    /** Builds although the value is fresh. Everybody else is served what is there meanwhile. */
    public V refresh(A arguments) {
        return refresh.apply(key(arguments), arguments);
    }

    public void invalidate(A arguments) {
        corral.invalidate(key(arguments));
    }

    public String key(A arguments) {
        return template.key(arguments);
    }
}
