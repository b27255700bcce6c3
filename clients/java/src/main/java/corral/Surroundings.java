package corral;

import java.util.Map;

/** What a refresh behind its caller takes along: the MDC of SLF4J and OpenTelemetry's context, where these are in use. */
final class Surroundings {
    private static final boolean HAS_MDC = present("org.slf4j.MDC");
    private static final boolean HAS_TELEMETRY = present("io.opentelemetry.context.Context");

    private Surroundings() {}

    static Runnable keptIn(Runnable work) {
        Runnable kept = work;
        if (HAS_TELEMETRY) kept = Telemetry.keptIn(kept);
        if (HAS_MDC) kept = Diagnostics.keptIn(kept);
        return kept;
    }

    private static boolean present(String name) {
        try {
            Class.forName(name, false, Surroundings.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException absent) {
            return false;
        }
    }

    private static final class Diagnostics {
        static Runnable keptIn(Runnable work) {
            Map<String, String> ours = org.slf4j.MDC.getCopyOfContextMap();
            return () -> {
                // The executor may be the user's, and the thread have an MDC of its own.
                Map<String, String> theirs = org.slf4j.MDC.getCopyOfContextMap();
                set(ours);
                try {
                    work.run();
                } finally {
                    set(theirs);
                }
            };
        }

        private static void set(Map<String, String> context) {
            if (context == null) org.slf4j.MDC.clear();
            else org.slf4j.MDC.setContextMap(context);
        }
    }

    private static final class Telemetry {
        static Runnable keptIn(Runnable work) {
            return io.opentelemetry.context.Context.current().wrap(work);
        }
    }
}
