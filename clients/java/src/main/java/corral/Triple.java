package corral;

import java.util.List;

/** What GETORLOCK, GET and FAIL answer. */
record Triple(String state, byte[] value, long number) {
    /** Null if the reply is nothing of the kind. */
    static Triple of(Object reply) {
        if (!(reply instanceof List<?> three) || three.size() != 3 || !(three.get(2) instanceof Long number)) return null;
        Object value = three.get(1);
        if (value != null && !(value instanceof byte[])) return null;
        return new Triple(Words.text(three.get(0)), (byte[]) value, number);
    }

    /** @throws UnknownAnswer if the reply is nothing of the kind */
    static Triple of(Object reply, String command) {
        Triple triple = of(reply);
        if (triple == null) throw new UnknownAnswer(command + " answered " + Words.text(reply), null);
        return triple;
    }
}
