package corral;

/** The server answered what this version does not know, and that must not be taken for anything else. */
public final class UnknownAnswer extends CorralException {
    private static final long serialVersionUID = 1L;

    UnknownAnswer(String message, Throwable cause) {
        super(message, cause);
    }
}
