package corral;

/** The server does not have the module. */
public final class ModuleMissing extends CorralException {
    private static final long serialVersionUID = 1L;

    ModuleMissing(String where, Throwable cause) {
        super(where + " does not have the Corral module; in its redis.conf: loadmodule /path/to/libcorral.so", cause);
    }
}
