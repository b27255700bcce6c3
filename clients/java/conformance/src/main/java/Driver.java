import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import corral.BuildFailed;
import corral.Cached;
import corral.CallInterrupted;
import corral.Corral;
import corral.Event;
import corral.ModuleMissing;
import corral.NoPermission;
import corral.NotAllAnswered;
import corral.RecursiveBuild;
import corral.Unavailable;
import corral.WaitTimeout;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;

/** The driver of clients/conformance, whose README says what it is asked: {@code Driver lettuce|lettuce-async|jedis}. */
public final class Driver {
    public record Day(Object day) {}

    public record DayKind(Object day, Object kind) {}

    static final class BuildError extends Exception {
        BuildError(String message) {
            super(message);
        }
    }

    static final class Unsupported extends RuntimeException {
        Unsupported(String message) {
            super(message);
        }
    }

    static final ObjectMapper JSON = new ObjectMapper();
    final boolean async;
    final Clients clients;
    final Map<String, Corral> corrals = new ConcurrentHashMap<>();
    final Set<Corral> bytes = ConcurrentHashMap.newKeySet();
    final Map<String, List<String>> seen = new ConcurrentHashMap<>();
    final Map<String, Cached<Object, Object>> functions = new ConcurrentHashMap<>();
    final Map<String, Integer> arity = new ConcurrentHashMap<>();
    final Map<String, CountDownLatch> gates = new ConcurrentHashMap<>();
    final Map<Integer, Running> running = new ConcurrentHashMap<>();

    /** What can be cancelled. */
    static final class Running {
        volatile Thread thread;
        volatile CompletableFuture<?> future;
        volatile boolean cancelled;

        void cancel() {
            cancelled = true;
            CompletableFuture<?> asked = future;
            if (asked != null) asked.cancel(true);
            else thread.interrupt();
        }
    }

    Driver(String library) {
        async = library.endsWith("-async");
        clients = new Clients(library.replace("-async", ""));
    }

    static synchronized void say(Object message) {
        try {
            System.out.println(JSON.writeValueAsString(message));
            System.out.flush();
        } catch (java.io.IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    Object perform(JsonNode request, Running self) throws Exception {
        String of = request.path("corral").asText("c");
        Corral corral = corrals.get(of);
        switch (request.get("do").asText()) {
            case "hello":
                return Map.of("language", "java", "library", clients.title() + (async ? " async" : ""), "has", List.of(
                    "cluster", "sentinel", "resp3", "concurrent", "cancel", "renew", "background", "local", "unencodable", "closures",
                    "tls", "error_text"));
            case "open":
                List<String> names = new CopyOnWriteArrayList<>();
                seen.put(of, names);
                corrals.put(of, new Corral(clients.library(request), Said.settings(request.path("options")).onEvent((Event event) -> names.add(event.name()))));
                if (request.path("options").path("serializer").asText().equals("bytes")) bytes.add(corrals.get(of));
                return null;
            case "close":
                corral.close();
                return null;
            case "get_or_build":
                return get(corral, request, request.get("id").asInt(), self);
            case "define":
                define(corral, request);
                return null;
            case "call":
                return function(request).apply(arguments(request));
            case "refresh":
                return function(request).refresh(arguments(request));
            case "key":
                return function(request).key(arguments(request));
            case "invalidate_call":
                function(request).invalidate(arguments(request));
                return null;
            case "invalidate":
                corral.invalidate(texts(request.get("keys")).toArray(String[]::new));
                return null;
            case "invalidate_tags":
                corral.invalidateTags(texts(request.get("tags")), request.has("swr") ? Said.duration(request.get("swr")) : null);
                return null;
            case "outdate":
                corral.outdate(request.get("key").asText(), request.get("version").asLong());
                return null;
            case "check":
                var features = corral.check();
                return Map.of("version", features.version(), "missing", features.missing());
            case "cancel":
                Running other = running.get(request.get("call").asInt());
                if (other != null) other.cancel();
                return null;
            case "gate":
                gate(request.get("gate").asText()).countDown();
                return null;
            case "events":
                return seen.get(of);
            default:
                throw new Unsupported(request.get("do").asText());
        }
    }

    @SuppressWarnings("unchecked")
    Object get(Corral corral, JsonNode request, int call, Running self) throws Exception {
        String key = request.get("key").asText();
        var options = Said.options(request.path("options"));
        Class<Object> type = bytes.contains(corral) ? (Class<Object>) (Class<?>) byte[].class : Object.class;
        Object value;
        if (async && self != null) {
            self.future = corral.getOrBuildAsync(key, type, options, () -> {
                try {
                    return CompletableFuture.completedFuture(run(corral, key, request.get("build"), call));
                } catch (Exception error) {
                    return Driver.<CompletableFuture<Object>, RuntimeException>sneak(error);
                }
            });
            if (self.cancelled) self.future.cancel(true);
            value = self.future.get();
        } else {
            value = corral.getOrBuild(key, type, options, () -> run(corral, key, request.get("build"), call));
        }
        if (request.path("mutate").asBoolean()) {
            ((List<Object>) value).add("mutated");
            Thread.sleep(100);
        }
        return value;
    }

    @SuppressWarnings("unchecked")
    static <T, E extends Exception> T sneak(Exception error) throws E {
        throw (E) error;
    }

    /** Java has no parameter names at run time: the template's are the components of a record. */
    @SuppressWarnings("unchecked")
    void define(Corral corral, JsonNode request) {
        String name = request.get("function").asText();
        List<String> parameters = texts(request.get("parameters"));
        Class<?> record = switch (String.join(",", parameters)) {
            case "day" -> Day.class;
            case "day,kind" -> DayKind.class;
            default -> throw new Unsupported("a record of " + parameters);
        };
        arity.put(name, parameters.size());
        Cached<?, Object>[] made = new Cached[1];
        made[0] = corral.cached(
            request.get("template").asText(), (Class<Object>) record, Object.class, Said.options(request.path("options")), given -> {
                try {
                    String key = ((Cached<Object, Object>) made[0]).key(given);
                    return run(corral, key, request.get("build"), request.get("id").asInt());
                } catch (Exception error) {
                    return Driver.<Object, RuntimeException>sneak(error);
                }
            });
        functions.put(name, (Cached<Object, Object>) made[0]);
    }

    Cached<Object, Object> function(JsonNode request) {
        return functions.get(request.get("function").asText());
    }

    Object arguments(JsonNode request) {
        JsonNode given = request.get("args");
        Object first = JSON.convertValue(given.get(0), Object.class);
        return arity.get(request.get("function").asText()) == 1 ? new Day(first) : new DayKind(first, JSON.convertValue(given.get(1), Object.class));
    }

    CountDownLatch gate(String name) {
        return gates.computeIfAbsent(name, first -> new CountDownLatch(1));
    }

    Object run(Corral corral, String key, JsonNode script, int call) throws Exception {
        say(Map.of("event", "begun", "key", key, "call", call, "at", System.nanoTime() / 1e9));
        try {
            Object value = null;
            for (JsonNode action : script) {
                if (action.path("not_shared").asBoolean()) Corral.doNotShare();
                if (action.has("wait_for")) gate(action.get("wait_for").asText()).await();
                else if (action.has("sleep")) Thread.sleep((long) (action.get("sleep").asDouble() * 1000));
                else if (action.has("return")) value = Said.value(action.get("return"));
                else if (action.has("return_unencodable")) value = new Object();
                else if (action.has("raise")) throw new BuildError(action.get("raise").asText());
                else if (action.has("get_or_build")) get(corral, action.get("get_or_build"), call, null);
                else if (action.has("exit")) new ProcessBuilder("kill", "-9", Long.toString(ProcessHandle.current().pid())).start().waitFor();
                else throw new Unsupported(action.toString());
            }
            return value;
        } finally {
            say(Map.of("event", "ended", "key", key, "call", call, "at", System.nanoTime() / 1e9));
        }
    }

    static List<String> texts(JsonNode given) {
        List<String> texts = new ArrayList<>();
        given.forEach(text -> texts.add(text.asText()));
        return texts;
    }

    ObjectNode answer(JsonNode request, Running self) {
        ObjectNode answer = JSON.createObjectNode().put("id", request.get("id").asInt());
        try {
            Object value = perform(request, self);
            if (value instanceof byte[] bytes) value = Map.of("$bytes", Base64.getEncoder().encodeToString(bytes));
            answer.set("value", JSON.valueToTree(value));
        } catch (Throwable thrown) {
            Throwable error = thrown;
            while (error instanceof ExecutionException || error instanceof CompletionException) error = error.getCause();
            String doing = request.get("do").asText();
            String type = self != null && self.cancelled ? "Cancelled" : typeOf(error, doing);
            String message = type.equals("Other") ? error.toString() : error.getMessage();
            ObjectNode described = answer.putObject("error").put("type", type).put("message", message);
            if (error instanceof BuildFailed failed) described.put("retry_after", failed.retryAfter().toNanos() / 1e9);
            if (type.equals("Other")) error.printStackTrace();
        }
        return answer;
    }

    static String typeOf(Throwable error, String doing) {
        if (error instanceof BuildError) return "Build";
        if (error instanceof BuildFailed) return "BuildFailed";
        if (error instanceof WaitTimeout) return "WaitTimeout";
        if (error instanceof ModuleMissing) return "ModuleMissing";
        if (error instanceof NoPermission) return "NoPermission";
        if (error instanceof NotAllAnswered) return "NotAllAnswered";
        if (error instanceof RecursiveBuild) return "Recursion";
        if (error instanceof Unavailable) return "Server";
        if (error instanceof CallInterrupted || error instanceof InterruptedException) return "Cancelled";
        if (error instanceof Unsupported || error instanceof corral.Unsupported) return "Unsupported";
        if (error instanceof UncheckedIOException && error.getCause() instanceof com.fasterxml.jackson.core.JsonProcessingException) return "Encoding";
        if (error instanceof IllegalArgumentException && List.of("define", "call", "key", "open").contains(doing)) return "Usage";
        return "Other";
    }

    public static void main(String[] arguments) throws Exception {
        Driver driver = new Driver(arguments[0]);
        List<String> atOnce = List.of("hello", "open", "gate", "events", "cancel");
        try (var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                JsonNode request = JSON.readTree(line);
                if (atOnce.contains(request.get("do").asText())) {
                    say(driver.answer(request, null));
                    continue;
                }
                int id = request.get("id").asInt();
                Running self = new Running();
                driver.running.put(id, self);
                self.thread = new Thread(() -> {
                    say(driver.answer(request, self));
                    driver.running.remove(id);
                }, "call-" + id);
                self.thread.start();
            }
        }
        Runtime.getRuntime().halt(0);
    }
}
