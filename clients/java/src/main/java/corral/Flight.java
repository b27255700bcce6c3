package corral;

import java.util.concurrent.CompletableFuture;

/** The callers of one key in this process: one asks, the others wait for what it gets. */
final class Flight {
    /** Two kinds of call do not share an answer: who forces is not content with what is there. */
    record Id(Key key, boolean force) {}

    final Id id;
    /** Ends when the one that asked has landed, with {@link #outcome}. */
    final CompletableFuture<Outcome> landed = new CompletableFuture<>();
    volatile Outcome outcome;
    /** Who asks. What it runs meanwhile (a hook, a serializer) must not wait for it. */
    volatile Thread leader;

    Flight(Id id) {
        this.id = id;
    }
}
