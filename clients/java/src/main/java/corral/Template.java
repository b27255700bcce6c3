package corral;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.temporal.TemporalAccessor;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A pattern, {@code "report:{day}:{kind}"}, over the components of a record or over one plain argument. */
final class Template<A> {
    private static final Pattern FIELD = Pattern.compile("\\{([^{}]*)}");

    private record Part(String text, String field, RecordComponent component) {}

    private final String template;
    private final Class<A> arguments;
    private final List<Part> parts = new ArrayList<>();
    private final String end;

    Template(String template, Class<A> arguments) {
        this(template, arguments, null);
    }

    /** @param key whose name for a plain argument is the only one; null: this is it */
    private Template(String template, Class<A> arguments, Template<A> key) {
        this.template = template;
        this.arguments = arguments;
        Matcher fields = FIELD.matcher(template);
        int from = 0;
        String only = null;
        while (fields.find()) {
            String field = fields.group(1);
            RecordComponent component = arguments.isRecord() ? component(field) : null;
            if (component == null && key != null && key.parts.stream().noneMatch(part -> part.field.equals(field))) {
                throw new IllegalArgumentException("template \"" + template + "\": {" + field + "} is not in the key's template \"" + key.template + "\"");
            }
            // A plain argument has no name but the one that is given to it here.
            if (component == null && only != null && !only.equals(field)) {
                throw new IllegalArgumentException(
                    "template \"" + template + "\": {" + only + "} and {" + field + "} are two names, and " + arguments.getSimpleName()
                        + " is one argument: make a record of the two");
            }
            only = field;
            parts.add(new Part(template.substring(from, fields.start()), field, component));
            from = fields.end();
        }
        end = template.substring(from);
    }

    /** Each call's tags, if they name what is in its arguments; null if none does. */
    Function<A, String[]> tags(List<String> tags) {
        if (tags == null || tags.stream().noneMatch(tag -> FIELD.matcher(tag).find())) return null;
        List<Template<A>> all = tags.stream().map(tag -> new Template<>(tag, arguments, this)).toList();
        return given -> all.stream().map(tag -> tag.written(given, text -> text)).toArray(String[]::new);
    }

    private RecordComponent component(String field) {
        List<String> names = new ArrayList<>();
        for (RecordComponent component : arguments.getRecordComponents()) {
            if (component.getName().equals(field)) {
                component.getAccessor().trySetAccessible();
                return component;
            }
            names.add(component.getName());
        }
        throw new IllegalArgumentException(
            "template \"" + template + "\": {" + field + "} is no component of " + arguments.getSimpleName() + ", which has " + String.join(", ", names));
    }

    String key(A arguments) {
        // "a:b" and "c" must not meet "a" and "b:c".
        return written(arguments, text -> text.replace("%", "%25").replace(":", "%3A"));
    }

    private String written(A arguments, UnaryOperator<String> escape) {
        StringBuilder made = new StringBuilder();
        for (Part part : parts) made.append(part.text).append(escape.apply(text(part.field, value(part.component, arguments))));
        return made.append(end).toString();
    }

    private static Object value(RecordComponent component, Object arguments) {
        if (component == null) return arguments;
        try {
            return component.getAccessor().invoke(arguments);
        } catch (IllegalAccessException error) {
            throw new IllegalArgumentException(component.getDeclaringRecord() + " cannot be read from here: make it public", error);
        } catch (InvocationTargetException error) {
            throw new IllegalArgumentException(component.getName() + " of " + component.getDeclaringRecord() + " threw", error.getCause());
        }
    }

    /** What has one text for one value. A HashSet may be printed in any order; an object prints its address. */
    private String text(String field, Object value) {
        boolean textual = value == null || value instanceof CharSequence || value instanceof Long || value instanceof Integer
            || value instanceof Short || value instanceof Byte || value instanceof Double || value instanceof Float
            || value instanceof BigDecimal || value instanceof BigInteger || value instanceof Boolean || value instanceof Character
            || value instanceof UUID || value instanceof TemporalAccessor || value instanceof Enum;
        if (!textual) {
            throw new IllegalArgumentException(
                "template \"" + template + "\": {" + field + "} is a " + value.getClass().getName() + ", of which no text can be made; pass a text or a number");
        }
        return value instanceof Enum<?> constant ? constant.name() : String.valueOf(value);
    }
}
