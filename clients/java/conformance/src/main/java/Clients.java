import com.fasterxml.jackson.databind.JsonNode;
import corral.Library;
import corral.jedis.JedisLibrary;
import corral.lettuce.LettuceLibrary;
import io.lettuce.core.ClientOptions;
import io.lettuce.core.RedisURI;
import io.lettuce.core.SslOptions;
import io.lettuce.core.cluster.ClusterClientOptions;
import io.lettuce.core.protocol.ProtocolVersion;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.net.URI;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.JedisClientConfig;
import redis.clients.jedis.RedisProtocol;

/** Clients, as each library makes them for each topology. */
final class Clients {
    private final String library;

    Clients(String library) {
        this.library = library;
    }

    String title() {
        return switch (library) {
            case "lettuce" -> "Lettuce " + io.lettuce.core.LettuceVersion.getVersion();
            default -> "Jedis 8.0.2";
        };
    }

    Library library(JsonNode request) throws GeneralSecurityException, IOException {
        String login = URI.create(request.get("url").asText()).getUserInfo();
        return library.equals("lettuce") ? lettuce(request, login) : jedis(request, login);
    }

    private static Library lettuce(JsonNode request, String login) {
        ProtocolVersion protocol = request.path("resp").asInt(2) == 3 ? ProtocolVersion.RESP3 : ProtocolVersion.RESP2;
        switch (request.get("topology").asText()) {
            case "cluster": {
                List<RedisURI> nodes = new ArrayList<>();
                for (String node : Driver.texts(request.get("nodes"))) nodes.add(uri(address(node), login));
                var client = io.lettuce.core.cluster.RedisClusterClient.create(nodes);
                client.setOptions(ClusterClientOptions.builder().protocolVersion(protocol).build());
                return LettuceLibrary.of(client);
            }
            case "sentinel": {
                RedisURI uri = new RedisURI();
                uri.setSentinelMasterId(request.get("service").asText());
                for (String node : Driver.texts(request.get("sentinels"))) {
                    HostAndPort at = address(node);
                    uri.getSentinels().add(RedisURI.create(at.getHost(), at.getPort()));
                }
                return LettuceLibrary.of(client(uri, protocol, request));
            }
            default:
                return LettuceLibrary.of(client(RedisURI.create(request.get("url").asText()), protocol, request));
        }
    }

    private static io.lettuce.core.RedisClient client(RedisURI uri, ProtocolVersion protocol, JsonNode request) {
        var client = io.lettuce.core.RedisClient.create(uri);
        var options = ClientOptions.builder().protocolVersion(protocol);
        if (request.has("ca")) options.sslOptions(SslOptions.builder().trustManager(new File(request.get("ca").asText())).build());
        client.setOptions(options.build());
        return client;
    }

    private static RedisURI uri(HostAndPort at, String login) {
        var uri = RedisURI.builder().withHost(at.getHost()).withPort(at.getPort());
        if (login != null) uri.withAuthentication(login.split(":")[0], login.split(":")[1].toCharArray());
        return uri.build();
    }

    private static Library jedis(JsonNode request, String login) throws GeneralSecurityException, IOException {
        var config = DefaultJedisClientConfig.builder().protocol(request.path("resp").asInt(2) == 3 ? RedisProtocol.RESP3 : RedisProtocol.RESP2);
        if (login != null) config.user(login.split(":")[0]).password(login.split(":")[1]);
        if (request.has("ca")) config.ssl(true).sslSocketFactory(trusting(request.get("ca").asText()).getSocketFactory());
        JedisClientConfig made = config.build();
        switch (request.get("topology").asText()) {
            case "cluster":
                return JedisLibrary.of(redis.clients.jedis.RedisClusterClient.builder().nodes(addresses(request.get("nodes"))).clientConfig(made).build());
            case "sentinel":
                return JedisLibrary.of(redis.clients.jedis.RedisSentinelClient.builder().masterName(request.get("service").asText())
                    .sentinels(addresses(request.get("sentinels"))).clientConfig(made).build());
            default:
                URI url = URI.create(request.get("url").asText());
                return JedisLibrary.of(redis.clients.jedis.RedisClient.builder().hostAndPort(url.getHost(), url.getPort()).clientConfig(made).build());
        }
    }

    private static SSLContext trusting(String file) throws GeneralSecurityException, IOException {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var certificate = new FileInputStream(file)) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(certificate));
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    private static Set<HostAndPort> addresses(JsonNode given) {
        Set<HostAndPort> addresses = new HashSet<>();
        for (String node : Driver.texts(given)) addresses.add(address(node));
        return addresses;
    }

    private static HostAndPort address(String text) {
        int colon = text.lastIndexOf(':');
        return new HostAndPort(text.substring(0, colon), Integer.parseInt(text.substring(colon + 1)));
    }
}
