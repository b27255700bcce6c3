package corral;

import java.time.Duration;
import java.util.concurrent.Executor;
import java.util.function.Consumer;

/** What a {@link Corral} may be told when it is made. Each method gives a new object. */
public final class Settings implements Cloneable {
    /** What to do while the server is gone. */
    public enum Degrade {
        /** Build here, a limited number at once. */
        BUILD,
        /** Throw {@link Unavailable}. */
        RAISE
    }

    Options defaults = Options.usual();
    Serializer serializer;
    Degrade degrade = Degrade.BUILD;
    int degradeLimit = 8;
    int maxWaiting = 1_000;
    int local;
    Duration localTtl = Duration.ofSeconds(1);
    Executor background;
    int backgroundLimit = 8;
    Consumer<? super Event> onEvent;
    boolean errorText = true;

    /** What calls mean that do not say otherwise. */
    public Settings defaults(Options defaults) {
        return with(made -> made.defaults = defaults.over(Options.usual()));
    }

    /** JSON unless it is said. */
    public Settings serializer(Serializer serializer) {
        return with(made -> made.serializer = serializer);
    }

    public Settings degrade(Degrade degrade) {
        return with(made -> made.degrade = degrade);
    }

    /** Builds at once in this process while the server is gone. 8. */
    public Settings degradeLimit(int builds) {
        return with(made -> made.degradeLimit = positive("degradeLimit", builds));
    }

    /** Connections of this process that may be parked at once; beyond, callers ask every 20 to 100 ms. 1,000. */
    public Settings maxWaiting(int connections) {
        return with(made -> made.maxWaiting = positive("maxWaiting", connections));
    }

    /** Near cache: so many entries are kept in this process. 0: none. */
    public Settings local(int entries) {
        if (entries < 0) throw new IllegalArgumentException("local " + entries + ": takes 0 and more");
        return with(made -> made.local = entries);
    }

    /** For how long at most an entry is kept in this process. 1 s. */
    public Settings localTtl(Duration localTtl) {
        return with(made -> made.localTtl = Options.notNegative("localTtl", localTtl));
    }

    /** What runs a refresh behind its caller; threads of its own unless it is said. */
    public Settings background(Executor background) {
        return with(made -> made.background = background);
    }

    /** How many refreshes run at once in threads of its own. 8. */
    public Settings backgroundLimit(int refreshes) {
        return with(made -> made.backgroundLimit = positive("backgroundLimit", refreshes));
    }

    public Settings onEvent(Consumer<? super Event> onEvent) {
        return with(made -> made.onEvent = onEvent);
    }

    /** False: a failed build's class is told to other processes, not its text. */
    public Settings errorText(boolean errorText) {
        return with(made -> made.errorText = errorText);
    }

    private Settings with(Consumer<Settings> change) {
        try {
            Settings made = (Settings) clone();
            change.accept(made);
            return made;
        } catch (CloneNotSupportedException impossible) {
            throw new AssertionError(impossible);
        }
    }

    private static int positive(String name, int given) {
        if (given < 1) throw new IllegalArgumentException(name + " " + given + ": takes 1 and more");
        return given;
    }
}
