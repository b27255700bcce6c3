package corral;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/** Which node has a key, and which nodes are masters. */
final class Topology {
    private record Range(long first, long last, Node node) {}

    final Library library;
    private final Consumer<byte[]> changed;
    private final Map<Address, Node> nodes = new ConcurrentHashMap<>();
    private final Node only;
    private volatile List<Range> ranges = List.of();
    private volatile boolean closed;

    Topology(Library library, Consumer<byte[]> changed) {
        this.library = library;
        this.changed = changed;
        only = library.isCluster() ? null : new Node(library, null, changed);
    }

    Node at(Address address) {
        return only != null ? only : nodes.computeIfAbsent(address, where -> new Node(library, where, changed));
    }

    Node of(Key key) throws InterruptedException {
        refuseIfClosed();
        if (only != null) return only;
        int slot = Slot.of(key.bytes);
        for (boolean fresh = false; ; fresh = true) {
            for (Range range : ranges) if (range.first <= slot && slot <= range.last) return range.node;
            if (fresh) throw new Unavailable("slot " + slot + " of the cluster is served by nobody", null);
            refresh();
        }
    }

    Set<Node> masters() throws InterruptedException {
        refuseIfClosed();
        if (only != null) return Set.of(only);
        refresh();
        Set<Node> masters = new LinkedHashSet<>();
        for (Range range : ranges) masters.add(range.node);
        return masters;
    }

    /** Asks whoever answers, those known to be well first; those that are out not before they are due. */
    void refresh() throws InterruptedException {
        if (only != null) return;
        Set<Node> asked = new LinkedHashSet<>();
        for (Range range : ranges) asked.add(range.node);
        for (Address seed : library.seeds()) asked.add(at(seed));
        List<Node> inOrder = new ArrayList<>(asked);
        inOrder.sort(Comparator.comparing(node -> node.outage.error() != null));
        Exception why = null;
        for (Node node : inOrder) {
            Exception out = node.outage.error();
            if (out != null && !node.outage.isDue()) {
                why = out;
                continue;
            }
            try {
                List<?> rows = (List<?>) node.tell(Words.of("CLUSTER").add("SLOTS"));
                node.outage.answers();
                ranges = read(rows, node);
                return;
            } catch (ServerError error) {
                node.outage.answers();
                if (error.kind == ServerError.Kind.DENIED) throw new NoPermission(node.name() + ": " + error.getMessage(), error);
                why = error;
            } catch (Lost error) {
                node.outage.begin(error);
                why = error;
                if (error.silent) break; // one time-out is enough for one caller
            } catch (InterruptedException error) {
                if (out != null) node.outage.begin(out); // it was this caller's to try
                throw error;
            }
        }
        throw new Unavailable("no node of the cluster answers: " + (why == null ? "none is known" : why.getMessage()), why);
    }

    private List<Range> read(List<?> rows, Node told) {
        String here = told.name().substring(0, told.name().lastIndexOf(':'));
        List<Range> read = new ArrayList<>();
        for (Object row : rows) {
            List<?> fields = (List<?>) row;
            List<?> master = (List<?>) fields.get(2);
            // A node that does not know its own address says nothing: it is the one that was asked.
            String host = master.get(0) == null ? "" : Words.text(master.get(0));
            Address address = new Address(host.isEmpty() ? here : host, ((Long) master.get(1)).intValue());
            read.add(new Range((Long) fields.get(0), (Long) fields.get(1), at(address)));
        }
        return read;
    }

    void refuseIfClosed() {
        if (closed) throw new IllegalStateException("this Corral is closed");
    }

    void close() {
        closed = true;
        if (only != null) only.close();
        nodes.values().forEach(Node::close);
    }
}
