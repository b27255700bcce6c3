package corral;

import java.lang.reflect.ParameterizedType;

/** Names a generic type: {@code new Type<List<Order>>() {}}. */
public abstract class Type<T> {
    final java.lang.reflect.Type named;

    protected Type() {
        if (!(getClass().getGenericSuperclass() instanceof ParameterizedType parent)) {
            throw new IllegalArgumentException("a Type names its type: new Type<List<String>>() {}");
        }
        named = parent.getActualTypeArguments()[0];
    }
}
