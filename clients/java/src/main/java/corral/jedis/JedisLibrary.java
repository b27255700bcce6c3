package corral.jedis;

import corral.Address;
import corral.Library;
import corral.Link;
import corral.Lost;
import corral.ServerError;
import java.net.SocketTimeoutException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Supplier;
import org.apache.commons.pool2.PooledObjectFactory;
import redis.clients.jedis.Connection;
import redis.clients.jedis.ConnectionFactory;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.RedisClusterClient;
import redis.clients.jedis.RedisSentinelClient;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.util.Pool;

/**
 * Jedis 8: a caller has a connection of its own for as long as it asks, waits or builds. They are made as the client's
 * pool makes its own, and are none of it: neither its size nor its time-out (2 s unless it was set) concerns them.
 */
public final class JedisLibrary implements Library {
    private volatile String where;
    private final Supplier<List<Address>> seeds;
    private final Function<Address, PooledObjectFactory<Connection>> factory;

    private JedisLibrary(String where, Supplier<List<Address>> seeds, Function<Address, PooledObjectFactory<Connection>> factory) {
        this.where = where;
        this.seeds = seeds;
        this.factory = factory;
    }

    public static JedisLibrary of(RedisClient client) {
        // Its address is not told before there is a connection.
        return new JedisLibrary("the server", null, node -> client.getPool().getFactory());
    }

    /** Without a client. */
    public static JedisLibrary of(HostAndPort address, JedisClientConfig config) {
        ConnectionFactory factory = new ConnectionFactory(address, config);
        return new JedisLibrary(address.toString(), null, node -> factory);
    }

    public static JedisLibrary of(RedisSentinelClient client) {
        return new JedisLibrary("the master", null, node -> current(client).getFactory());
    }

    public static JedisLibrary of(RedisClusterClient client) {
        return new JedisLibrary("the cluster", () -> addresses(client.getClusterNodes()), node -> ofNode(client, node).getFactory());
    }

    @Override
    public String where() {
        return where;
    }

    @Override
    public boolean isCluster() {
        return seeds != null;
    }

    @Override
    public List<Address> seeds() {
        return seeds.get();
    }

    @Override
    public boolean isShared() {
        return false;
    }

    @Override
    public Link connect(Address node) throws Lost, ServerError {
        try {
            Connection connection = factory.apply(node).makeObject().getObject();
            if (node == null) where = connection.getHostAndPort().toString();
            connection.setSoTimeout((int) READ_LIMIT.toMillis());
            return new JedisLink(connection);
        } catch (Exception error) {
            Exception failure = failure(error);
            if (failure instanceof ServerError refused) throw refused;
            throw (Lost) failure;
        }
    }

    static Exception failure(Exception error) {
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof JedisDataException) return new ServerError(String.valueOf(cause.getMessage()), error);
            if (cause instanceof SocketTimeoutException) return Lost.silent(String.valueOf(error.getMessage()), error);
        }
        return Lost.broken(String.valueOf(error.getMessage()), error);
    }

    private static Pool<Connection> current(RedisSentinelClient client) {
        return client.getPrimaryNodesConnectionMap().values().iterator().next();
    }

    private static Pool<Connection> ofNode(RedisClusterClient client, Address node) {
        Pool<Connection> pool = client.getClusterNodes().get(node.toString());
        if (pool == null) {
            client.refreshClusterTopology();
            pool = client.getClusterNodes().get(node.toString());
        }
        if (pool == null) throw new IllegalStateException("Jedis does not know the node " + node);
        return pool;
    }

    private static List<Address> addresses(Map<String, ?> nodes) {
        List<Address> addresses = new ArrayList<>();
        for (String name : nodes.keySet()) {
            int colon = name.lastIndexOf(':');
            addresses.add(new Address(name.substring(0, colon), Integer.parseInt(name.substring(colon + 1))));
        }
        return addresses;
    }
}
