package corral;

/** How one call's value is written and read. */
record Codec<T>(Serializer serializer, java.lang.reflect.Type type) {
    byte[] encode(Object value) {
        return serializer.encode(value);
    }

    @SuppressWarnings("unchecked")
    T decode(byte[] data) {
        return (T) serializer.decode(data, type);
    }
}
