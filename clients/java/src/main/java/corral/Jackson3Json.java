package corral;

import java.lang.reflect.Type;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** As {@link Jackson2Json}. An object of which nothing can be told is refused, where Jackson 3 by itself writes {}. */
final class Jackson3Json implements Serializer {
    private final JsonMapper mapper = JsonMapper.builder().findAndAddModules()
        .enable(SerializationFeature.FAIL_ON_EMPTY_BEANS)
        .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES).build();

    @Override
    public byte[] encode(Object value) {
        return mapper.writeValueAsBytes(value);
    }

    @Override
    public Object decode(byte[] data, Type type) {
        return mapper.readValue(data, mapper.constructType(type));
    }
}
