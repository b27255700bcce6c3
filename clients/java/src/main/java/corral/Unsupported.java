package corral;

/** The server's module is too old for an option that was asked for. */
public final class Unsupported extends CorralException {
    private static final long serialVersionUID = 1L;

    Unsupported(String message, Throwable cause) {
        super(message, cause);
    }
}
