package corral;

import java.time.Duration;

/** The last build of this key failed, here or elsewhere, and the next attempt is not allowed yet. */
public final class BuildFailed extends CorralException {
    private static final long serialVersionUID = 1L;
    private final String reason;
    private final Duration retryAfter;

    BuildFailed(Key key, String reason, Duration retryAfter, Throwable cause) {
        super(key + ": " + reason, cause);
        this.reason = reason;
        this.retryAfter = retryAfter;
    }

    /** What the builder said. */
    public String reason() {
        return reason;
    }

    public Duration retryAfter() {
        return retryAfter;
    }
}
