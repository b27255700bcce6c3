package corral;

/** Makes a value that is not cached. Runs in the thread of its caller. */
@FunctionalInterface
public interface Build<T, E extends Exception> {
    T build() throws E;
}
