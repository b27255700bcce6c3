package corral;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.reflect.Type;

/** Modules that are on the class path are found (dates, optionals); a field that is unknown here is skipped: a newer release may have written it. */
final class Jackson2Json implements Serializer {
    private final JsonMapper mapper = JsonMapper.builder().findAndAddModules()
        .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES).build();

    @Override
    public byte[] encode(Object value) {
        try {
            return mapper.writeValueAsBytes(value);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    @Override
    public Object decode(byte[] data, Type type) {
        try {
            return mapper.readValue(data, mapper.constructType(type));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
