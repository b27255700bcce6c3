package corral;

import java.util.Set;

/**
 * What the server's module can, and what the user may.
 *
 * @param words commands and options as CACHE.VERSION names them, in lower case
 * @param missing commands that the ACL refuses
 */
public record Features(String version, Set<String> words, Set<String> missing) {
    void need(String word) {
        if (!words.contains(word)) {
            throw new Unsupported("the server's module (version " + version + ") has no " + word.toUpperCase(java.util.Locale.ROOT), null);
        }
    }
}
