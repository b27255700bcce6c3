package corral;

import java.time.Duration;
import java.util.List;

/**
 * What FILL and SET are told beside the value, which it may depend on.
 *
 * @param fresh how long at least; null is for ever
 */
record Labels(Words words, Duration fresh) {
    /** What is wrong in it is thrown to the build's caller. */
    static Labels of(Features features, Options o, Object value) {
        Words words = new Words();
        Duration ttl = o.ttlOf(value);
        // What is fresh for ever has no windows behind it: the server refuses them without a deadline.
        if (ttl != null) {
            if (ttl.isZero()) words.add("PXAT").add(1); // for those who wait, not to be kept
            else words.add("PX").add(Words.milliseconds(ttl));
            if (!o.swr.isZero()) words.add("SWR").add(Words.milliseconds(o.swr));
            if (!o.sie.isZero()) words.add("SIE").add(Words.milliseconds(o.sie));
            if (o.jitter > 0) words.add("JITTER").add(o.jitter);
        }
        List<String> tags = o.tagsOf(value);
        if (!tags.isEmpty()) {
            features.need("cache.fill tags");
            words.add("TAGS").add(tags.size());
            tags.forEach(words::add);
        }
        Long version = o.versionOf(value);
        if (version != null) {
            features.need("cache.fill version");
            words.add("VERSION").add(version);
        }
        return new Labels(words, ttl == null ? null : ttl.multipliedBy(100 - o.jitter).dividedBy(100));
    }
}
