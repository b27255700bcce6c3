package corral;

import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/** One call that answers with a future. Who joins a flight takes no thread; who leads one takes a thread that may wait. */
final class AsyncCall<T> extends CompletableFuture<T> {
    private final Engine engine;
    private final Key key;
    private final Codec<T> codec;
    private final Options options;
    private final Build<T, Exception> build;
    private final long deadline;
    private final UnaryOperator<Runnable> surroundings = Surroundings.kept();
    private Thread working;

    AsyncCall(Engine engine, Key key, Codec<T> codec, Options options, Supplier<? extends CompletionStage<? extends T>> build) {
        this.engine = engine;
        this.key = key;
        this.codec = codec;
        this.options = options;
        this.build = () -> waitFor(build.get());
        deadline = System.nanoTime() + Engine.nanos(options.wait);
        Objects.requireNonNull(build, "build");
        whenComplete((value, error) -> leave());
    }

    AsyncCall<T> begin() {
        try {
            byte[] copy = engine.localCopy(key, false);
            if (copy != null) complete(codec.decode(copy));
            else board();
        } catch (RuntimeException error) {
            completeExceptionally(error);
        }
        return this;
    }

    private void board() {
        Flight own = new Flight(new Flight.Id(key, false));
        Flight flight = engine.board(own);
        if (flight == own) {
            if (!work(() -> engine.lead(own, codec, options, deadline, build))) engine.land(own);
            return;
        }
        // Not in the thread of the one who asked: it has its own caller.
        flight.landed.copy().orTimeout(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS).whenCompleteAsync((outcome, late) -> {
            if (isDone()) return;
            if (late instanceof TimeoutException) work(() -> engine.impatient(key, codec, options, build));
            else if (outcome == null) board();
            else if (outcome instanceof Outcome.Private) work(() -> engine.alone(key, codec, build));
            else finish(() -> engine.follow(key, codec, outcome, build));
        });
    }

    /** False if it was not begun. */
    private boolean work(Callable<T> step) {
        try {
            engine.threads.async.execute(surroundings.apply(() -> {
                synchronized (this) {
                    working = Thread.currentThread();
                }
                if (isDone()) leave();
                finish(step);
            }));
            return true;
        } catch (Throwable error) { // no thread is left
            completeExceptionally(error);
            return false;
        }
    }

    private void finish(Callable<T> step) {
        T value = null;
        Throwable failure = null;
        try {
            value = Calls.building(step);
        } catch (Throwable error) {
            failure = error;
        }
        synchronized (this) {
            working = null;
            Thread.interrupted(); // one that came at the end must not meet this thread's next work
        }
        if (failure == null) complete(value);
        else completeExceptionally(failure);
    }

    /** Cancelled, timed out, completed by somebody else: nobody waits for this work any more. */
    private synchronized void leave() {
        if (working != null) working.interrupt();
    }

    private static <T> T waitFor(CompletionStage<? extends T> stage) throws Exception {
        CompletableFuture<? extends T> future = stage.toCompletableFuture();
        try {
            return future.get();
        } catch (InterruptedException error) {
            future.cancel(true);
            throw error;
        } catch (ExecutionException | CompletionException error) {
            if (error.getCause() instanceof Exception cause) throw cause;
            if (error.getCause() instanceof Error cause) throw cause;
            throw error;
        }
    }
}
