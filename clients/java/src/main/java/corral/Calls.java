package corral;

import java.util.concurrent.Callable;

/** What becomes of checked exceptions between the engine and its callers. */
final class Calls {
    private Calls() {}

    /** For calls that run no code of the caller's. */
    static <T> T unchecked(Callable<T> call) {
        return building(call);
    }

    /**
     * A build's exception, checked ones too, comes to its caller as it is: the caller's signature names it, or a
     * function that cannot throw it was given. An interruption of ours becomes an unchecked exception.
     */
    static <T, E extends Exception> T building(Callable<T> call) throws E {
        try {
            return call.call();
        } catch (ServerError error) {
            throw new Unavailable("the server refused: " + error.getMessage(), error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new CallInterrupted("interrupted while waiting for the server or for another caller's build", error);
        } catch (Exception error) {
            @SuppressWarnings("unchecked")
            E theirs = (E) (error instanceof Builds.Interrupted ? error.getCause() : error);
            throw theirs;
        }
    }
}
