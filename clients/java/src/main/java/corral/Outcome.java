package corral;

import java.time.Duration;

/** What becomes of a flight, for those of its callers who did not ask. Null instead of one: ask anew. */
sealed interface Outcome {
    record Value(byte[] data) implements Outcome {}

    record Failed(String reason, long againAt, Throwable cause) implements Outcome {
        static Failed by(String reason, long milliseconds, Throwable cause) {
            return new Failed(reason, System.nanoTime() + Math.max(0, milliseconds) * 1_000_000, cause);
        }

        /** A new one for each caller: a stack trace belongs to one throw. */
        BuildFailed error(Key key) {
            return new BuildFailed(key, reason, Duration.ofNanos(Math.max(0, againAt - System.nanoTime())), cause);
        }
    }

    /** Each caller builds for itself. */
    record Private() implements Outcome {}
}
