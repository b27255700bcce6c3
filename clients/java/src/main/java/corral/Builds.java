package corral;

import java.util.ArrayList;
import java.util.List;

/** The builds that a thread is in the middle of, innermost first. */
final class Builds {
    private static final ThreadLocal<Builds> CURRENT = new ThreadLocal<>();

    private final Engine owner;
    private final Key key;
    private final Builds outer;
    /** Runs in one of the places of {@code degradeLimit}: a nested build needs no other. */
    private final boolean degraded;
    private boolean shared = true;

    private Builds(Engine owner, Key key, Builds outer, boolean degraded) {
        this.owner = owner;
        this.key = key;
        this.outer = outer;
        this.degraded = degraded;
    }

    /** What a build made, and whether others may have it. */
    record Made(Object value, boolean shared) {}

    /** The build itself threw an InterruptedException: its caller's own, where ours become {@link CallInterrupted}. */
    static final class Interrupted extends Exception {
        private static final long serialVersionUID = 1L;

        Interrupted(InterruptedException theirs) {
            super(theirs);
        }
    }

    static Made run(Engine owner, Key key, boolean degraded, Build<?, ?> build) throws Exception {
        Builds outer = CURRENT.get();
        Builds inner = new Builds(owner, key, outer, degraded || isDegraded());
        CURRENT.set(inner);
        try {
            Object value = build.build();
            return new Made(value, inner.shared);
        } catch (Exception error) {
            if (error instanceof InterruptedException theirs) throw new Interrupted(theirs);
            throw error;
        } finally {
            if (outer == null) CURRENT.remove();
            else CURRENT.set(outer);
        }
    }

    static boolean doNotShare() {
        Builds current = CURRENT.get();
        if (current != null) current.shared = false;
        return current != null;
    }

    static boolean isDegraded() {
        Builds current = CURRENT.get();
        return current != null && current.degraded;
    }

    static boolean isBuilding(Engine owner, Key key) {
        for (Builds build = CURRENT.get(); build != null; build = build.outer) {
            if (build.owner == owner && build.key.equals(key)) return true;
        }
        return false;
    }

    static List<String> keys(Engine owner) {
        List<String> keys = new ArrayList<>();
        for (Builds build = CURRENT.get(); build != null; build = build.outer) {
            if (build.owner == owner) keys.add(0, build.key.toString());
        }
        return keys;
    }
}
