package corral;

/** The server is gone or refuses service. Seen with {@link Settings.Degrade#RAISE} only; the client's error is its cause. */
public final class Unavailable extends CorralException {
    private static final long serialVersionUID = 1L;

    Unavailable(String message, Throwable cause) {
        super(message, cause);
    }
}
