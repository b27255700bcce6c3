package corral;

import java.lang.System.Logger.Level;

/** What is said beside. A logger that throws, or an exception that has no text for it, is nobody's outage. */
final class Log {
    private static final System.Logger LOG = System.getLogger("corral");

    private Log() {}

    static void error(String text, Throwable error) {
        say(Level.ERROR, text, error);
    }

    static void warn(String text) {
        say(Level.WARNING, text, null);
    }

    private static void say(Level level, String text, Throwable error) {
        try {
            LOG.log(level, text, error);
        } catch (Throwable unsaid) {
            System.err.println("corral: " + text + " (and the logger threw " + unsaid.getClass().getName() + ")");
        }
    }
}
