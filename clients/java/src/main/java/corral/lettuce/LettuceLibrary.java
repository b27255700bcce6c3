package corral.lettuce;

import corral.Address;
import corral.Library;
import corral.Link;
import corral.Lost;
import corral.ServerError;
import corral.Waits;
import io.lettuce.core.AbstractRedisClient;
import io.lettuce.core.ClientOptions;
import io.lettuce.core.RedisClient;
import io.lettuce.core.RedisCommandExecutionException;
import io.lettuce.core.RedisURI;
import io.lettuce.core.TimeoutOptions;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.cluster.RedisClusterClient;
import io.lettuce.core.codec.ByteArrayCodec;
import io.lettuce.core.resource.ClientResources;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/**
 * Lettuce: hits share one connection, who waits or builds has one of its own. Connections are made with the client's
 * threads, addresses, credentials, TLS and protocol, but do not reconnect or send again, and know no time-out of Lettuce's.
 */
public final class LettuceLibrary implements Library {
    /** Keeps nothing but its connections: the threads are the given client's. So nobody has to shut it down. */
    private final RedisClient own;
    private final List<RedisURI> uris;
    private final boolean cluster;

    private LettuceLibrary(ClientResources resources, ClientOptions options, List<RedisURI> uris, boolean cluster) {
        this.uris = uris;
        this.cluster = cluster;
        own = RedisClient.create(resources);
        own.setOptions(options.mutate().autoReconnect(false).timeoutOptions(TimeoutOptions.builder().timeoutCommands(false).build()).build());
    }

    public static LettuceLibrary of(RedisClient client) {
        return new LettuceLibrary(client.getResources(), client.getOptions(), List.of((RedisURI) told(client, "redisURI")), false);
    }

    public static LettuceLibrary of(RedisClusterClient client) {
        List<RedisURI> uris = new ArrayList<>();
        for (Object uri : (Iterable<?>) told(client, "initialUris")) uris.add((RedisURI) uri);
        return new LettuceLibrary(client.getResources(), client.getOptions(), uris, true);
    }

    /** A client of one of these two kinds, as Spring's LettuceConnectionFactory gives it. */
    public static LettuceLibrary of(AbstractRedisClient client) {
        return client instanceof RedisClusterClient many ? of(many) : of((RedisClient) client);
    }

    /** Without a client: to one server, or to the master that the Sentinels named in it know. */
    public static LettuceLibrary of(ClientResources resources, ClientOptions options, RedisURI uri) {
        return new LettuceLibrary(resources, options, List.of(uri), false);
    }

    /** Without a client: to a cluster, of which some nodes are named. */
    public static LettuceLibrary ofCluster(ClientResources resources, ClientOptions options, List<RedisURI> nodes) {
        return new LettuceLibrary(resources, options, List.copyOf(nodes), true);
    }

    @Override
    public String where() {
        RedisURI uri = uris.get(0);
        if (uri.getSentinelMasterId() != null) return uri.getSentinelMasterId();
        return uri.getSocket() != null ? uri.getSocket() : uri.getHost() + ":" + uri.getPort();
    }

    @Override
    public boolean isCluster() {
        return cluster;
    }

    @Override
    public List<Address> seeds() {
        return uris.stream().map(uri -> new Address(uri.getHost(), uri.getPort())).toList();
    }

    @Override
    public boolean isShared() {
        return true;
    }

    @Override
    public Link connect(Address node) throws Lost, ServerError, InterruptedException {
        return new LettuceLink(open(node));
    }

    @Override
    public Link connectTracking(Address node, Consumer<byte[]> changed) throws Lost, ServerError, InterruptedException {
        StatefulRedisConnection<byte[], byte[]> connection = open(node);
        LettuceLink link = new LettuceLink(connection);
        connection.addListener(message -> {
            if (!message.getType().equals("invalidate")) return;
            // The keys as bytes, or nil for all of them.
            List<Object> content = message.getContent(io.lettuce.core.codec.ByteArrayCodec.INSTANCE::decodeValue);
            if (content.size() < 2 || !(content.get(1) instanceof List<?> keys)) changed.accept(null);
            else keys.forEach(key -> changed.accept((byte[]) key));
        });
        try {
            Waits.get(link.send(bytes("CLIENT"), bytes("TRACKING"), bytes("ON")), READ_LIMIT.toNanos());
            return link;
        } catch (ExecutionException error) {
            link.close(); // RESP2 has no pushes, or the user has no +client|tracking
            if (error.getCause() instanceof Lost lost) throw lost;
            return null;
        } catch (TimeoutException error) {
            link.close();
            throw Lost.silent(where(node) + " does not answer", error);
        } catch (InterruptedException error) {
            link.close();
            throw error;
        }
    }

    private StatefulRedisConnection<byte[], byte[]> open(Address node) throws Lost, ServerError, InterruptedException {
        RedisURI uri = uris.get(0);
        if (node != null) {
            RedisURI seed = uri;
            uri = RedisURI.builder(seed).withHost(node.host()).withPort(node.port()).build();
        }
        CompletableFuture<StatefulRedisConnection<byte[], byte[]>> connecting = null;
        try {
            connecting = own.connectAsync(ByteArrayCodec.INSTANCE, uri).toCompletableFuture();
            return Waits.get(connecting, READ_LIMIT.toNanos());
        } catch (TimeoutException error) {
            forget(connecting);
            throw Lost.silent(where(node) + " accepted the connection and said nothing", error);
        } catch (InterruptedException error) {
            forget(connecting);
            throw error;
        } catch (ExecutionException | RuntimeException error) {
            Exception failure = failure(error);
            if (failure instanceof ServerError refused) throw refused;
            throw (Lost) failure;
        }
    }

    private static void forget(CompletableFuture<StatefulRedisConnection<byte[], byte[]>> connecting) {
        connecting.thenAccept(StatefulRedisConnection::closeAsync);
    }

    private String where(Address node) {
        return node == null ? where() : node.toString();
    }

    static Exception failure(Throwable error) {
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof RedisCommandExecutionException refused) return new ServerError(String.valueOf(refused.getMessage()), error);
        }
        Throwable root = error;
        while (root.getCause() != null) root = root.getCause();
        return Lost.broken(root.getMessage() == null ? root.toString() : root.getMessage(), error);
    }

    static byte[] bytes(String word) {
        return word.getBytes(java.nio.charset.StandardCharsets.UTF_8);
    }

    /** Lettuce's clients tell nobody where they connect to. */
    private static Object told(AbstractRedisClient client, String name) {
        for (Class<?> of = client.getClass(); of != null; of = of.getSuperclass()) {
            try {
                Field field = of.getDeclaredField(name);
                field.setAccessible(true);
                return field.get(client);
            } catch (NoSuchFieldException further) {
                // Of a class above, then.
            } catch (IllegalAccessException | RuntimeException error) {
                throw new IllegalArgumentException("this client's address cannot be read: use LettuceLibrary.of(resources, options, uri)", error);
            }
        }
        throw new IllegalArgumentException("this client has no address to be read: use LettuceLibrary.of(resources, options, uri)");
    }
}
