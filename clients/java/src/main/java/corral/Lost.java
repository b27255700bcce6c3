package corral;

/** The connection broke, or was never made. */
public final class Lost extends Exception {
    private static final long serialVersionUID = 1L;

    /** The server took the question and did not answer: asking again would cost the same again. */
    final boolean silent;

    private Lost(String message, Throwable cause, boolean silent) {
        super(message, cause);
        this.silent = silent;
    }

    public static Lost broken(String message, Throwable cause) {
        return new Lost(message, cause, false);
    }

    public static Lost silent(String message, Throwable cause) {
        return new Lost(message, cause, true);
    }
}
