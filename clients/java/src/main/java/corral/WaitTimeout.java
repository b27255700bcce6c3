package corral;

/** The value was not there within {@code wait}. */
public final class WaitTimeout extends CorralException {
    private static final long serialVersionUID = 1L;

    WaitTimeout(String message, Throwable cause) {
        super(message, cause);
    }
}
