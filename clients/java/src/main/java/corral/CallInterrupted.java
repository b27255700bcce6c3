package corral;

/** The calling thread was interrupted while it waited. Its interrupt flag is set. */
public final class CallInterrupted extends CorralException {
    private static final long serialVersionUID = 1L;

    CallInterrupted(String message, Throwable cause) {
        super(message, cause);
    }
}
