package corral;

/** The server's ACL refuses a command, a key or the credentials. */
public final class NoPermission extends CorralException {
    private static final long serialVersionUID = 1L;

    NoPermission(String message, Throwable cause) {
        super(message, cause);
    }
}
