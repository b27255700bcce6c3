package corral;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * getOrBuild: one caller builds, everybody else gets the value. How a command is sent and how a caller waits is the
 * transport's part: JedisTransport, LettuceTransport and LettuceEvents.
 */
public record Corral(Transport transport, Times times) {
    /** In ms. The lease is renewed while a build runs. After `patience` a caller builds for itself. */
    public record Times(long fresh, long swr, long sie, long backoff, long lease, long patience) {
        public static final Times USUAL = new Times(60_000, 30_000, 300_000, 1_000, 10_000, 30_000);
    }

    public interface Transport extends AutoCloseable {
        /** Text is String, numbers are Long, arrays are List, and nil is null. */
        Object call(String command, String... arguments);

        List<?> getOrLock(String key, long lease) throws Exception;

        Watch watch(String key) throws Exception;
    }

    /** On from the moment it is made: change returns at once if something changed since. */
    public interface Watch extends AutoCloseable {
        void change(long atMostMs) throws InterruptedException;

        @Override
        void close();
    }

    /** The last build failed, perhaps in another process; the message is its holder's. */
    public static class BuildFailed extends RuntimeException {
        BuildFailed(String message) {
            super(message);
        }
    }

    private static final ExecutorService REFRESHES = Executors.newCachedThreadPool(Corral::daemon);
    private static final ScheduledExecutorService RENEWALS = Executors.newScheduledThreadPool(2, Corral::daemon);

    public String getOrBuild(String key, Callable<String> build) throws Exception {
        long patienceEnds = now() + times.patience;
        Watch watch = null;
        try {
            while (true) {
                List<?> answer = transport.getOrLock(key, times.lease);
                String value = (String) answer.get(1);
                long number = (Long) answer.get(2);
                switch ((String) answer.get(0)) {
                    case "HIT", "STALE":
                        return value;
                    case "REFRESH": // CACHE.FAIL tells of its failure
                        REFRESHES.submit(() -> rebuild(key, number, build));
                        return value;
                    case "LOCK":
                        return rebuild(key, number, build);
                    case "PASS":
                        return build.call(); // not to be shared, so not stored
                    case "FAIL":
                        throw new BuildFailed(value);
                    default: // WAIT: the lease is another's
                }
                long left = patienceEnds - now();
                if (left <= 0) return build.call(); // not stored
                // What changed before the watch was on shows in the next answer.
                if (watch == null) watch = transport.watch(key);
                else watch.change(Math.min(left, number + 1));
            }
        } finally {
            if (watch != null) watch.close();
        }
    }

    private String rebuild(String key, long number, Callable<String> build) throws Exception {
        String token = Long.toString(number);
        var renewing = RENEWALS.scheduleAtFixedRate(() -> renew(key, token), times.lease / 3, times.lease / 3, TimeUnit.MILLISECONDS);
        String value;
        try {
            value = build.call();
        } catch (InterruptedException interrupted) { // says nothing about the source: let the next caller try
            transport.call("CACHE.RELEASE", key, token);
            throw interrupted;
        } catch (Exception | Error failure) {
            byte[] message = String.valueOf(failure.getMessage()).getBytes(StandardCharsets.UTF_8);
            String fitting = new String(Arrays.copyOf(message, Math.min(message.length, 1000)), StandardCharsets.UTF_8);
            Object verdict = transport.call("CACHE.FAIL", key, token, fitting, "BACKOFF", "" + times.backoff);
            // The old value may still be served.
            if (verdict instanceof List<?> triple && triple.get(0).equals("STALE")) return (String) triple.get(1);
            throw failure;
        } finally {
            renewing.cancel(false);
        }
        try { // null is normal: the key was invalidated, or another took over
            transport.call("CACHE.FILL", key, token, value,
                    "PX", "" + times.fresh, "SWR", "" + times.swr, "SIE", "" + times.sie);
        } catch (RuntimeException notStored) {
            // Out of memory, perhaps: no reason to lose what was built.
        }
        return value;
    }

    private void renew(String key, String token) {
        try {
            transport.call("CACHE.RENEW", key, token, "" + times.lease);
        } catch (RuntimeException triedAgain) {
            // An exception here would end the schedule.
        }
    }

    private static long now() {
        return System.nanoTime() / 1_000_000;
    }

    private static Thread daemon(Runnable task) {
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        return thread;
    }

    /** For transports that park in the server: WAIT means that BLOCK ran out, or that nobody is parked just now. */
    static final class AskAgainSoon implements Watch {
        @Override
        public void change(long atMostMs) throws InterruptedException {
            Thread.sleep(ThreadLocalRandom.current().nextLong(20, 100));
        }

        @Override
        public void close() {}
    }
}
