package corral;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** A key, text or bytes, as it is sent. */
final class Key {
    final byte[] bytes;
    private final int hash;

    private Key(byte[] bytes) {
        this.bytes = bytes;
        hash = Arrays.hashCode(bytes);
    }

    static Key of(String text) {
        // String.getBytes writes "?" for half a surrogate pair: two keys would meet in one.
        try {
            ByteBuffer encoded = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
            return new Key(Arrays.copyOf(encoded.array(), encoded.limit()));
        } catch (CharacterCodingException error) {
            throw new IllegalArgumentException("a text must be whole characters: half of a surrogate pair is in this one", error);
        }
    }

    static Key of(byte[] bytes) {
        return new Key(bytes.clone());
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Key key && Arrays.equals(bytes, key.bytes);
    }

    @Override
    public int hashCode() {
        return hash;
    }

    @Override
    public String toString() {
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
