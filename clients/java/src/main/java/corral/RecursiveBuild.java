package corral;

/** A build asked for the key that it is building. */
public final class RecursiveBuild extends CorralException {
    private static final long serialVersionUID = 1L;

    RecursiveBuild(String message, Throwable cause) {
        super(message, cause);
    }
}
