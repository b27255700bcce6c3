package corral;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/** One server: the connection that hits share, those that one caller holds at a time, whether it is out, what it can. */
final class Node {
    private static final int KEPT_IDLE = 64;

    final Outage outage = new Outage();
    volatile Features features;
    private final Library library;
    private final Address address;
    private final Consumer<byte[]> changed;
    private final Deque<Link> idle = new ArrayDeque<>();
    private final ReentrantLock sharing = new ReentrantLock();
    private volatile Link shared;
    private volatile boolean untracked;
    private volatile boolean closed;

    /** @param changed told of keys that were read over the shared connection and have changed; null if nobody asks */
    Node(Library library, Address address, Consumer<byte[]> changed) {
        this.library = library;
        this.address = address;
        this.changed = changed;
    }

    String name() {
        return address == null ? library.where() : address.toString();
    }

    /** Whether hits go over one connection for all: who is granted a lease then moves its tie to one of its own. */
    boolean isShared() {
        return library.isShared() && movesTies();
    }

    boolean movesTies() {
        Features known = features;
        return known == null || known.words().contains("cache.renew tied");
    }

    /** Whether we may be told of changes to what CACHE.GET reads over the shared connection. */
    boolean mayTrack() {
        return changed != null && isShared() && !untracked;
    }

    Link shared() throws Lost, ServerError, InterruptedException {
        Link present = shared;
        if (present != null && present.isOpen()) return present;
        sharing.lockInterruptibly();
        try {
            if (shared != null && shared.isOpen()) return shared;
            // Whoever queued behind one that hung must not hang in turn.
            if (outage.error() != null) throw Lost.broken(name() + " is out", outage.error());
            Link made = changed == null ? null : library.connectTracking(address, changed);
            untracked = made == null;
            if (made == null) made = library.connect(address);
            if (changed != null) changed.accept(null); // what changed while nothing was heard is not known
            shared = made;
            if (closed) leave();
            return made;
        } finally {
            sharing.unlock();
        }
    }

    /** The one given back last: it is the least likely to have been closed meanwhile. */
    Link take() throws Lost, ServerError, InterruptedException {
        while (true) {
            Link kept;
            synchronized (idle) {
                kept = idle.pollFirst();
            }
            if (kept == null) return library.connect(address);
            if (kept.isOpen()) return kept;
        }
    }

    void give(Link link) {
        if (link == shared) return;
        synchronized (idle) {
            if (!closed && link.isOpen() && idle.size() < KEPT_IDLE) {
                idle.addFirst(link);
                return;
            }
        }
        link.close();
    }

    /** One command over a connection that is taken for it. */
    Object tell(Words words) throws Lost, ServerError, InterruptedException {
        Link link = take();
        try {
            return Replies.of(link, words);
        } finally {
            give(link); // closed, it is not kept
        }
    }

    /** A server that restarted, or closed what was idle: everything else that is idle is as old. */
    void dropIdle() {
        List<Link> all;
        synchronized (idle) {
            all = new ArrayList<>(idle);
            idle.clear();
        }
        all.forEach(Link::close);
    }

    /** A server that is out, or became a replica: with Sentinel, a new connection finds the new master. */
    void leave() {
        dropIdle();
        Link present = shared;
        shared = null;
        if (present != null) present.close();
    }

    void close() {
        closed = true;
        leave();
    }
}
