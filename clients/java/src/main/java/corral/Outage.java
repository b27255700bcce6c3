package corral;

/** Whether a server is out, and when it is to be tried again. No caller does that: one that hangs would cost it a time-out each time. */
final class Outage {
    private static final long SHORTEST_MS = 100;
    private static final long LONGEST_MS = 5_000;

    private volatile Exception error;
    private long pauseMs;
    private long againAt;
    private boolean trying;

    Exception error() {
        return error;
    }

    /** True if it has served somebody since the last one. */
    synchronized boolean begin(Exception why) {
        if (error != null && !trying) return false; // of a call that was under way when it began
        boolean first = pauseMs == 0;
        pauseMs = Math.min(Math.max(SHORTEST_MS, pauseMs * 2), LONGEST_MS);
        againAt = System.nanoTime() + pauseMs * 1_000_000;
        error = why;
        trying = false;
        return first;
    }

    /** True for one who asks, who is to try it. */
    synchronized boolean isDue() {
        if (error == null || System.nanoTime() - againAt < 0) return false;
        trying = true;
        againAt = System.nanoTime() + LONGEST_MS * 1_000_000; // should it never tell, another will
        return true;
    }

    /** It may be asked again. The pauses begin anew when it has served somebody. */
    synchronized void answers() {
        error = null;
        trying = false;
    }

    /** It has served somebody. True if it was out before. */
    boolean end() {
        if (error == null && pauseMs == 0) return false;
        synchronized (this) {
            boolean was = pauseMs != 0;
            error = null;
            pauseMs = 0;
            return was;
        }
    }
}
