package corral;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ForkJoinWorkerThread;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Waiting for a future. A ForkJoinPool's thread runs other tasks while it waits for one by itself, and these may ask for what
 * lies under them on its stack.
 */
public final class Waits {
    private Waits() {}

    public static <T> T get(CompletableFuture<T> future, long nanos) throws ExecutionException, TimeoutException, InterruptedException {
        if (future.isDone() || !(Thread.currentThread() instanceof ForkJoinWorkerThread)) return future.get(nanos, TimeUnit.NANOSECONDS);
        CountDownLatch done = new CountDownLatch(1);
        future.whenComplete((value, error) -> done.countDown());
        if (!done.await(nanos, TimeUnit.NANOSECONDS)) throw new TimeoutException();
        return future.get();
    }
}
