package corral;

import java.time.Duration;
import java.util.function.Consumer;

/** Tells the hook what has happened. */
final class Teller {
    private final Consumer<? super Event> hook;

    Teller(Consumer<? super Event> hook) {
        this.hook = hook;
    }

    void tell(String name, Key key) {
        tell(name, key, -1, null);
    }

    /** @param nanos how long it took; negative for what takes no time */
    void tell(String name, Key key, long nanos, Throwable error) {
        if (hook == null) return;
        try {
            hook.accept(new Event(name, key.toString(), nanos < 0 ? null : Duration.ofNanos(nanos), error));
        } catch (Throwable wrong) { // a class that is not there is an Error
            Log.error("onEvent threw", wrong);
        }
    }
}
