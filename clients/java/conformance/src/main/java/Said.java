import com.fasterxml.jackson.databind.JsonNode;
import corral.Options;
import corral.Serializer;
import corral.Settings;
import java.time.Duration;
import java.util.Base64;

/** Options and values, as JSON says them. */
final class Said {
    private Said() {}

    static Duration duration(JsonNode seconds) {
        return Duration.ofNanos((long) (seconds.asDouble() * 1e9));
    }

    static Object value(JsonNode given) {
        if (given.has("$bytes")) return Base64.getDecoder().decode(given.get("$bytes").asText());
        return Driver.JSON.convertValue(given, Object.class);
    }

    static Options options(JsonNode given) {
        Options made = new Options();
        for (var option : given.properties()) {
            JsonNode value = option.getValue();
            made = switch (option.getKey()) {
                case "ttl" -> made.ttl(duration(value));
                case "swr" -> made.swr(duration(value));
                case "sie" -> made.sie(duration(value));
                case "jitter" -> made.jitter(value.asInt());
                case "tags" -> made.tags(Driver.texts(value).toArray(String[]::new));
                case "version" -> made.version(value.asLong());
                case "group" -> made.group(value.asText());
                case "wait" -> made.wait(duration(value));
                case "lease" -> made.lease(duration(value));
                case "backoff" -> made.backoff(duration(value));
                case "on_timeout" -> made.onTimeout(value.asText().equals("build") ? Options.OnTimeout.BUILD : Options.OnTimeout.RAISE);
                default -> made;
            };
        }
        return made;
    }

    static Settings settings(JsonNode given) {
        Settings made = new Settings().defaults(options(given));
        for (var option : given.properties()) {
            JsonNode value = option.getValue();
            made = switch (option.getKey()) {
                case "serializer" -> made.serializer(value.asText().equals("bytes") ? Serializer.bytes() : Serializer.json());
                case "degrade" -> made.degrade(value.isTextual() ? Settings.Degrade.RAISE : Settings.Degrade.BUILD);
                case "error_text" -> made.errorText(value.asBoolean());
                case "degrade_limit" -> made.degradeLimit(value.asInt());
                case "max_waiting" -> made.maxWaiting(value.asInt());
                case "local" -> made.local(value.asInt());
                case "local_ttl" -> made.localTtl(duration(value));
                default -> made;
            };
        }
        return made;
    }
}
