package corral;

/** What this package throws, but for a build's own exception and the serializer's. */
public abstract class CorralException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    CorralException(String message, Throwable cause) {
        super(message, cause);
    }
}
