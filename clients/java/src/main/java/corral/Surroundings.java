package corral;

import java.util.Map;
import java.util.function.UnaryOperator;

/** What a build in another thread than its caller's takes along: the MDC of SLF4J and OpenTelemetry's context, where these are in use. */
final class Surroundings {
    private static final boolean HAS_MDC = present("org.slf4j.MDC");
    private static final boolean HAS_TELEMETRY = present("io.opentelemetry.context.Context");

    private Surroundings() {}

    /** What runs work, now or later, in what is around us now. */
    static UnaryOperator<Runnable> kept() {
        UnaryOperator<Runnable> kept = UnaryOperator.identity();
        if (HAS_TELEMETRY) kept = Telemetry.kept();
        if (!HAS_MDC) return kept;
        UnaryOperator<Runnable> inner = kept, outer = Diagnostics.kept();
        return work -> outer.apply(inner.apply(work));
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
        static UnaryOperator<Runnable> kept() {
            Map<String, String> ours = org.slf4j.MDC.getCopyOfContextMap();
            return work -> () -> {
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
        static UnaryOperator<Runnable> kept() {
            return io.opentelemetry.context.Context.current()::wrap;
        }
    }
}
