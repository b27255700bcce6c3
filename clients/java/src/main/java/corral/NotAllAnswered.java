package corral;

import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** An invalidation did not reach every node: old values may still be served there. */
public final class NotAllAnswered extends CorralException {
    private static final long serialVersionUID = 1L;
    private final Set<String> nodes;

    NotAllAnswered(Map<String, ? extends Exception> failures) {
        super(
            failures.entrySet().stream()
                .map(failure -> failure.getKey() + " (" + failure.getValue().getMessage() + ")")
                .collect(Collectors.joining(", ", "not invalidated on ", "")),
            failures.values().iterator().next());
        nodes = Set.copyOf(failures.keySet());
    }

    public Set<String> nodes() {
        return nodes;
    }
}
