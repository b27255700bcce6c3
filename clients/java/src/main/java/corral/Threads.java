package corral;

import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** The threads of one Corral. All are daemons: a process may end while they run, and the closed connections end their leases. */
final class Threads {
    private static final int QUEUED = 1_000;

    /** For what must not hold up a caller, or cannot be interrupted in its own thread. */
    final ThreadPoolExecutor aside;
    /** For calls that answer with a future. Virtual threads where there are some. */
    final ExecutorService async;
    /** For refreshes: so many at once, and {@link #QUEUED} more. */
    final Executor background;
    final ScheduledExecutorService clock;
    private final ExecutorService ownBackground;

    Threads(Settings settings) {
        aside = new ThreadPoolExecutor(0, Integer.MAX_VALUE, 10, TimeUnit.SECONDS, new SynchronousQueue<>(), named("corral-aside"));
        async = virtual();
        ThreadPoolExecutor refreshes = new ThreadPoolExecutor(
            settings.backgroundLimit, settings.backgroundLimit, 10, TimeUnit.SECONDS, new LinkedBlockingQueue<>(QUEUED), named("corral-refresh"));
        refreshes.allowCoreThreadTimeOut(true);
        ownBackground = refreshes;
        background = settings.background == null ? refreshes : settings.background;
        ScheduledThreadPoolExecutor renewals = new ScheduledThreadPoolExecutor(1, named("corral-clock"));
        renewals.setRemoveOnCancelPolicy(true);
        renewals.setContinueExistingPeriodicTasksAfterShutdownPolicy(true);
        clock = renewals;
    }

    /** Nothing new is begun. Builds that are under way have their leases to renew and their verdicts to say. */
    void close() {
        clock.shutdown();
        ownBackground.shutdown();
        async.shutdown();
        aside.setKeepAliveTime(0, TimeUnit.SECONDS);
    }

    private static ExecutorService virtual() {
        try { // since Java 21
            return (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        } catch (ReflectiveOperationException absent) {
            return Executors.newCachedThreadPool(named("corral-async"));
        }
    }

    private static ThreadFactory named(String name) {
        AtomicInteger number = new AtomicInteger();
        return work -> {
            Thread thread = new Thread(work, name + "-" + number.incrementAndGet());
            thread.setDaemon(true);
            return thread;
        };
    }
}
