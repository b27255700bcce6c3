package corral;

import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/** Encoded values kept in this process, bounded in number and time. Never a value whose question was asked before its key changed. */
final class NearCache {
    private record Copy(byte[] data, long until) {}

    /** The questions about a key that are under way. Whatever changes from now on counts for all of them. */
    static final class Ticket {
        private int questions;
        private boolean outdated;
    }

    private final Duration longest;
    private final Map<Key, Ticket> asked = new HashMap<>();
    private final LinkedHashMap<Key, Copy> kept;

    NearCache(int most, Duration longest) {
        this.longest = longest;
        kept = new LinkedHashMap<>(16, 0.75f, true) {
            private static final long serialVersionUID = 1L;

            @Override
            protected boolean removeEldestEntry(Map.Entry<Key, Copy> oldest) {
                return size() > most;
            }
        };
    }

    synchronized byte[] get(Key key) {
        Copy copy = kept.get(key);
        if (copy == null) return null;
        if (System.nanoTime() - copy.until < 0) return copy.data;
        kept.remove(key);
        return null;
    }

    synchronized Ticket ask(Key key) {
        Ticket ticket = asked.computeIfAbsent(key, first -> new Ticket());
        ticket.questions++;
        return ticket;
    }

    /** The question was answered, or is not any more to be. */
    synchronized void answered(Key key, Ticket ticket) {
        if (--ticket.questions == 0) asked.remove(key, ticket);
    }

    /**
     * @param fresh how long; null is for ever
     * @param sent when the question was: how long its answer took nobody knows, and {@code fresh} may be as old as that
     */
    synchronized void put(Key key, Ticket ticket, byte[] data, Duration fresh, long sent) {
        if (ticket.outdated) return;
        Duration life = fresh == null || fresh.compareTo(longest) > 0 ? longest : fresh;
        long until = sent + Engine.nanos(life);
        if (System.nanoTime() - until < 0) kept.put(key, new Copy(data, until));
    }

    synchronized void drop(Collection<Key> keys) {
        for (Key key : keys) {
            kept.remove(key);
            Ticket ticket = asked.remove(key);
            if (ticket != null) ticket.outdated = true;
        }
    }

    synchronized void dropAll() {
        kept.clear();
        asked.values().forEach(ticket -> ticket.outdated = true);
        asked.clear();
    }
}
