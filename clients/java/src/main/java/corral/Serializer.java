package corral;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.UncheckedIOException;
import java.lang.reflect.Type;

/** How values become bytes and back. What it throws comes to the caller whose build made the value. */
public interface Serializer {
    byte[] encode(Object value);

    Object decode(byte[] data, Type type);

    /** JSON by the Jackson that is there: 3 ({@code tools.jackson}), else 2 ({@code com.fasterxml.jackson}). */
    static Serializer json() {
        if (present("tools.jackson.databind.json.JsonMapper")) return new Jackson3Json();
        if (present("com.fasterxml.jackson.databind.json.JsonMapper")) return new Jackson2Json();
        throw new IllegalStateException(
            "no Jackson for JSON: add tools.jackson.core:jackson-databind, or use new Settings().serializer(Serializer.bytes())");
    }

    /** Values are byte arrays and stored as they are. */
    static Serializer bytes() {
        return new Serializer() {
            @Override
            public byte[] encode(Object value) {
                if (value instanceof byte[] bytes) return bytes.clone(); // the build may use its own again
                throw new IllegalArgumentException(
                    "Serializer.bytes() takes byte[], and the build returned " + (value == null ? "null" : value.getClass().getName()));
            }

            @Override
            public Object decode(byte[] data, Type type) {
                return data.clone();
            }
        };
    }

    /** Java's own. Whoever may write to the cache can run code in whoever reads it: for trusted servers only. */
    static Serializer java() {
        return new Serializer() {
            @Override
            public byte[] encode(Object value) {
                var bytes = new ByteArrayOutputStream();
                try (var stream = new ObjectOutputStream(bytes)) {
                    stream.writeObject(value);
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                }
                return bytes.toByteArray();
            }

            @Override
            public Object decode(byte[] data, Type type) {
                try (var stream = new ObjectInputStream(new ByteArrayInputStream(data))) {
                    return stream.readObject();
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                } catch (ClassNotFoundException error) {
                    throw new IllegalStateException("the cached value is of a class that is not here: " + error.getMessage(), error);
                }
            }
        };
    }

    private static boolean present(String name) {
        try {
            Class.forName(name, false, Serializer.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException absent) {
            return false;
        }
    }
}
