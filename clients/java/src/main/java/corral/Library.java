package corral;

import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;

/** What is needed of a client library: connections of its own, made with the settings of the client that was given. */
public interface Library {
    /** Between sending and the answer; a parked call is answered after two seconds at the latest. */
    Duration READ_LIMIT = Duration.ofSeconds(4);

    /** Where it connects to, for messages. */
    String where();

    boolean isCluster();

    /** In a cluster: the nodes that may be asked for the others. */
    List<Address> seeds();

    /** Whether one link takes the commands of many threads at once, and sends without blocking. */
    boolean isShared();

    /** A connection to the master, in a cluster to the node named. */
    Link connect(Address node) throws Lost, ServerError, InterruptedException;

    /**
     * Like {@link #connect}, and tells of each key that was read over it and has changed; null: any may have.
     * Null if the library or the protocol has no such messages.
     */
    default Link connectTracking(Address node, Consumer<byte[]> changed) throws Lost, ServerError, InterruptedException {
        return null;
    }
}
