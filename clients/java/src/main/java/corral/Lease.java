package corral;

import java.time.Duration;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ScheduledFuture;

/** The right to build one key. */
final class Lease {
    final Key key;
    final long token;
    final Node node;
    final Duration length;
    private final long granted = System.nanoTime();
    /** The connection that it is tied to; null while it is not. */
    volatile Link link;
    volatile boolean ended;
    volatile ScheduledFuture<?> renewal;
    /** Renewal and verdict share the connection. */
    final Semaphore speaking = new Semaphore(1);

    Lease(Key key, long token, Node node, Link link, Duration length) {
        this.key = key;
        this.token = token;
        this.node = node;
        this.link = link;
        this.length = length;
    }

    /** For one that was not renewed yet. */
    boolean isOver() {
        return System.nanoTime() - granted > Engine.nanos(length);
    }

    Words words(String command) {
        return Words.of(command, key).add(token);
    }
}
