package corral;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** The words of a command. */
final class Words {
    /** The least that {@code proto-max-bulk-len} can be. */
    private static final int REFUSABLE_BYTES = 1 << 20;
    private final List<byte[]> words = new ArrayList<>(12);

    static Words of(String command, Key... keys) {
        Words made = new Words().add(command);
        for (Key key : keys) made.words.add(key.bytes);
        return made;
    }

    Words add(String word) {
        words.add(word.getBytes(StandardCharsets.UTF_8));
        return this;
    }

    Words add(long number) {
        return add(Long.toString(number));
    }

    Words add(byte[] word) {
        words.add(word);
        return this;
    }

    Words addAll(Words others) {
        words.addAll(others.words);
        return this;
    }

    /** So long that a server may close the connection instead of reading them, which says nothing about the server. */
    boolean areRefusable() {
        return words.stream().anyMatch(word -> word.length > REFUSABLE_BYTES);
    }

    byte[][] sent() {
        return words.toArray(byte[][]::new);
    }

    /** At least 1: the server takes 0 for an error where a time must be a time. */
    static long milliseconds(Duration given) {
        return Math.max(1, given.toMillis());
    }

    static String text(Object reply) {
        return reply instanceof byte[] bytes ? new String(bytes, StandardCharsets.UTF_8) : String.valueOf(reply);
    }
}
