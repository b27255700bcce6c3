package corral;

import java.time.Duration;

/**
 * For {@link Settings#onEvent}.
 *
 * @param name one of {@code hit stale refresh built waited failed degraded not_stored}
 * @param took how long it was built or waited for, or null
 * @param error what went wrong, or null
 */
public record Event(String name, String key, Duration took, Throwable error) {}
