package corral;

import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * What a call may say: {@code new Options().ttl(Duration.ofSeconds(60)).swr(Duration.ofSeconds(30))}. Each method gives a
 * new object; what is not said is as in {@link Settings#defaults}.
 */
public final class Options implements Cloneable {
    /** What becomes of a caller whose {@code wait} is over. */
    public enum OnTimeout {
        /** A {@link WaitTimeout}. */
        RAISE,
        /** It builds for itself, and nothing is stored. */
        BUILD
    }

    private static final Function<Object, Duration> FOR_EVER = value -> null;
    // What the server takes. It is asked after the build, and what it refuses then everybody builds again.
    private static final long LARGEST = (1L << 53) - 1;
    private static final Duration LONGEST = Duration.ofMillis(LARGEST);
    private static final int TAGS = 32;
    private static final int TAG_BYTES = 255;
    private static final Pattern GROUP = Pattern.compile("[A-Za-z0-9._:-]{1,64}");

    Function<Object, Duration> ttl;
    Duration swr;
    Duration sie;
    Integer jitter;
    Function<Object, List<String>> tags;
    /** Those of {@code tags} that no value has a say in; {@link Corral#cached} makes them of its arguments. */
    List<String> fixedTags;
    Function<Object, Long> version;
    String group;
    Duration wait;
    Duration lease;
    Duration backoff;
    OnTimeout onTimeout;

    /** Fresh so long. Zero: for those who wait now, not kept. Null, and unless it is said: for ever. */
    public Options ttl(Duration ttl) {
        Duration checked = ttl == null ? null : time("ttl", ttl);
        return with(made -> made.ttl = ttl == null ? FOR_EVER : value -> checked);
    }

    public Options ttl(Function<Object, Duration> ttlOfValue) {
        return with(made -> made.ttl = ttlOfValue);
    }

    /** Stale-while-revalidate: so long after {@code ttl} the old value is served while one caller rebuilds. */
    public Options swr(Duration swr) {
        return with(made -> made.swr = time("swr", swr));
    }

    /** Stale-if-error: so long after {@code ttl} the old value is served while rebuilds fail. */
    public Options sie(Duration sie) {
        return with(made -> made.sie = time("sie", sie));
    }

    /** Percent by which chance shortens {@code ttl}, so that what was built together does not expire together. */
    public Options jitter(int percent) {
        if (percent < 0 || percent > 100) throw new IllegalArgumentException("jitter " + percent + ": takes a percentage, 0 to 100");
        return with(made -> made.jitter = percent);
    }

    /** Labels to invalidate by. Given to {@code cached}, they are made of the arguments: {@code "day:{day}"}. */
    public Options tags(String... tags) {
        List<String> all = checkedTags(Arrays.asList(tags.clone()));
        return with(made -> {
            made.tags = value -> all;
            made.fixedTags = all;
        });
    }

    public Options tags(Function<Object, List<String>> tagsOfValue) {
        return with(made -> {
            made.tags = tagsOfValue;
            made.fixedTags = null;
        });
    }

    /** How new the source was: older values are not stored over newer ones, see {@link Corral#outdate}. */
    public Options version(long version) {
        Long checked = checkedVersion(version);
        return with(made -> made.version = value -> checked);
    }

    public Options version(Function<Object, Long> versionOfValue) {
        return with(made -> made.version = versionOfValue);
    }

    /** The group of rebuilds whose limit and circuit breaker apply, see the server's {@code corral.groups}. */
    public Options group(String group) {
        if (group != null && !GROUP.matcher(group).matches()) {
            throw new IllegalArgumentException("group \"" + group + "\": takes 1 to 64 of A-Z a-z 0-9 . _ : -");
        }
        return with(made -> made.group = group);
    }

    /** Patience for somebody else's build. 10 s unless it is said. */
    public Options wait(Duration wait) {
        return with(made -> made.wait = notNegative("wait", wait));
    }

    /** How long a holder that vanished without closing its connection is waited for. Renewed while the build runs. 10 s. */
    public Options lease(Duration lease) {
        if (time("lease", lease).toMillis() < 1) throw new IllegalArgumentException("lease " + lease + ": takes 1 ms and more");
        return with(made -> made.lease = lease);
    }

    /** After a failed build, so long nobody tries again. The server's setting unless it is said. */
    public Options backoff(Duration backoff) {
        return with(made -> made.backoff = time("backoff", backoff));
    }

    public Options onTimeout(OnTimeout onTimeout) {
        return with(made -> made.onTimeout = onTimeout);
    }

    /** For frameworks whose own these two are, and would not be heard. */
    public Options refuseTtlAndTags(String theirs) {
        if (ttl != null || tags != null) throw new IllegalArgumentException("options: ttl and tags are not taken here: " + theirs);
        return this;
    }

    /** These, and those of {@code defaults} where these say nothing. */
    Options over(Options defaults) {
        if (this == defaults) return this;
        return with(made -> {
            if (made.ttl == null) made.ttl = defaults.ttl;
            if (made.swr == null) made.swr = defaults.swr;
            if (made.sie == null) made.sie = defaults.sie;
            if (made.jitter == null) made.jitter = defaults.jitter;
            if (made.tags == null) made.tags = defaults.tags;
            if (made.version == null) made.version = defaults.version;
            if (made.group == null) made.group = defaults.group;
            if (made.wait == null) made.wait = defaults.wait;
            if (made.lease == null) made.lease = defaults.lease;
            if (made.backoff == null) made.backoff = defaults.backoff;
            if (made.onTimeout == null) made.onTimeout = defaults.onTimeout;
        });
    }

    static Options usual() {
        return new Options().ttl((Duration) null).swr(Duration.ZERO).sie(Duration.ZERO).jitter(0)
            .wait(Duration.ofSeconds(10)).lease(Duration.ofSeconds(10)).onTimeout(OnTimeout.RAISE);
    }

    private Options with(Consumer<Options> change) {
        try {
            Options made = (Options) clone();
            change.accept(made);
            return made;
        } catch (CloneNotSupportedException impossible) {
            throw new AssertionError(impossible);
        }
    }

    /** What is over already is not kept. */
    Duration ttlOf(Object value) {
        Duration given = ttl.apply(value);
        if (given == null) return null;
        return given.isNegative() ? Duration.ZERO : time("ttl", given);
    }

    List<String> tagsOf(Object value) {
        List<String> given = tags == null ? null : tags.apply(value);
        return given == null ? List.of() : checkedTags(given);
    }

    Long versionOf(Object value) {
        Long given = version == null ? null : version.apply(value);
        return given == null ? null : checkedVersion(given);
    }

    static List<String> checkedTags(List<String> tags) {
        if (tags.size() > TAGS) throw new IllegalArgumentException("tags: " + tags.size() + " were given, and " + TAGS + " are allowed");
        for (String tag : tags) checkTag(tag);
        return tags;
    }

    static void checkTag(String tag) {
        if (tag == null) throw new IllegalArgumentException("tags: null is none");
        int size = Key.of(tag).bytes.length; // half of a surrogate pair is refused there
        if (size < 1 || size > TAG_BYTES) {
            throw new IllegalArgumentException("tags: \"" + tag + "\" has " + size + " bytes, and 1 to " + TAG_BYTES + " are allowed");
        }
    }

    static long checkedVersion(long version) {
        if (version < 0 || version > LARGEST) throw new IllegalArgumentException("version " + version + ": takes 0 to 2^53-1");
        return version;
    }

    static Duration time(String name, Duration given) {
        if (notNegative(name, given).compareTo(LONGEST) > 0) {
            throw new IllegalArgumentException(name + " " + given + ": takes at most 2^53-1 ms; for ever is a ttl that is not said");
        }
        return given;
    }

    static Duration notNegative(String name, Duration given) {
        if (given.isNegative()) throw new IllegalArgumentException(name + " " + given + ": takes a duration of zero and more");
        return given;
    }
}
