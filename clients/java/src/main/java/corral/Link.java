package corral;

import java.util.concurrent.CompletableFuture;

/**
 * One connection to one server, whichever client library makes it. What a library does for its users (reconnecting,
 * sending again, queueing while offline) is off here: an answer must never meet another question than its own.
 */
public interface Link {
    /**
     * Sends one command. The future ends with the reply (bytes, a text, a Long, a List, a Map or null) or with a
     * {@link Lost} or a {@link ServerError}. Where the library blocks, it has ended already.
     */
    CompletableFuture<Object> send(byte[]... words);

    boolean isOpen();

    /** Closes the socket at once; whoever still waits for an answer gets a {@link Lost}. May be called by any thread. */
    void close();
}
