package corral;

import java.util.Map;

/** What the server answered instead of a reply. */
public final class ServerError extends Exception {
    private static final long serialVersionUID = 1L;

    /** What an error means for a caller. */
    enum Kind {
        /** The server cannot or will not serve. */
        OUTAGE,
        /** To be asked again. */
        AGAIN,
        /** Another node has the slot. */
        MOVED,
        /** The ACL refuses. */
        DENIED,
        /** The module is not there. */
        MISSING,
        OTHER
    }

    private static final Map<String, Kind> KINDS = Map.ofEntries(
        Map.entry("NOPERM", Kind.DENIED),
        Map.entry("NOAUTH", Kind.DENIED),
        Map.entry("WRONGPASS", Kind.DENIED),
        Map.entry("UNBLOCKED", Kind.AGAIN),
        Map.entry("TRYAGAIN", Kind.AGAIN),
        Map.entry("MOVED", Kind.MOVED),
        Map.entry("ASK", Kind.MOVED),
        Map.entry("LOADING", Kind.OUTAGE),
        Map.entry("MASTERDOWN", Kind.OUTAGE),
        Map.entry("CLUSTERDOWN", Kind.OUTAGE),
        Map.entry("READONLY", Kind.OUTAGE),
        Map.entry("MISCONF", Kind.OUTAGE),
        Map.entry("NOREPLICAS", Kind.OUTAGE),
        Map.entry("OOM", Kind.OUTAGE),
        Map.entry("BUSY", Kind.OUTAGE));

    final Kind kind;

    public ServerError(String message, Throwable cause) {
        super(message, cause);
        kind = kindOf(message);
    }

    private static Kind kindOf(String message) {
        // No other sign of these two exists than their text.
        if (message.startsWith("ERR unknown command")) return Kind.MISSING;
        if (message.startsWith("ERR max number of clients")) return Kind.OUTAGE;
        int space = message.indexOf(' ');
        return KINDS.getOrDefault(space < 0 ? message : message.substring(0, space), Kind.OTHER);
    }

    /** The node that ASK or MOVED names; null if it does not say its host. */
    Address names() {
        String[] words = getMessage().split(" ");
        int colon = words.length < 3 ? -1 : words[2].lastIndexOf(':');
        if (kind != Kind.MOVED || colon <= 0) return null;
        return new Address(words[2].substring(0, colon), Integer.parseInt(words[2].substring(colon + 1)));
    }

    boolean isAsk() {
        return getMessage().startsWith("ASK ");
    }
}
