package corral.jedis;

import corral.Link;
import corral.Lost;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import redis.clients.jedis.CommandArguments;
import redis.clients.jedis.Connection;
import redis.clients.jedis.commands.ProtocolCommand;

final class JedisLink implements Link {
    private final Connection connection;
    private volatile boolean closed;

    JedisLink(Connection connection) {
        this.connection = connection;
    }

    @Override
    public CompletableFuture<Object> send(byte[]... words) {
        if (!isOpen()) return CompletableFuture.failedFuture(Lost.broken("the connection was closed", null));
        CommandArguments arguments = new CommandArguments(new Name(words[0]));
        for (int at = 1; at < words.length; at++) arguments.add(words[at]);
        try {
            return CompletableFuture.completedFuture(connection.executeCommand(arguments));
        } catch (RuntimeException error) {
            return CompletableFuture.failedFuture(JedisLibrary.failure(error));
        }
    }

    @Override
    public boolean isOpen() {
        return !closed && connection.isConnected() && !connection.isBroken();
    }

    @Override
    public void close() {
        closed = true;
        try {
            connection.forceDisconnect(); // another thread may be reading from it
        } catch (IOException | RuntimeException error) {
            // It is closed, which is what was wanted.
        }
    }

    private record Name(byte[] raw) implements ProtocolCommand {
        @Override
        public byte[] getRaw() {
            return raw;
        }

        @Override
        public String toString() {
            return new String(raw, StandardCharsets.US_ASCII);
        }
    }
}
