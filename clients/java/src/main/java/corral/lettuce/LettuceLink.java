package corral.lettuce;

import corral.Link;
import io.lettuce.core.RedisFuture;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.codec.ByteArrayCodec;
import io.lettuce.core.output.ObjectOutput;
import io.lettuce.core.protocol.CommandArgs;
import io.lettuce.core.protocol.ProtocolKeyword;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;

final class LettuceLink implements Link {
    private final StatefulRedisConnection<byte[], byte[]> connection;
    private final String where;

    LettuceLink(StatefulRedisConnection<byte[], byte[]> connection, String where) {
        this.connection = connection;
        this.where = where;
    }

    @Override
    public CompletableFuture<Object> send(byte[]... words) {
        CompletableFuture<Object> reply = new CompletableFuture<>();
        CommandArgs<byte[], byte[]> args = new CommandArgs<>(ByteArrayCodec.INSTANCE);
        for (int at = 1; at < words.length; at++) args.add(words[at]);
        try {
            RedisFuture<Object> sent = connection.async().dispatch(new Name(words[0]), new ObjectOutput<>(ByteArrayCodec.INSTANCE), args);
            sent.whenComplete((value, error) -> {
                if (error == null) reply.complete(value);
                else reply.completeExceptionally(LettuceLibrary.failure(where, error));
            });
        } catch (RuntimeException error) {
            reply.completeExceptionally(LettuceLibrary.failure(where, error));
        }
        return reply;
    }

    @Override
    public boolean isOpen() {
        return connection.isOpen();
    }

    @Override
    public void close() {
        connection.closeAsync();
    }

    /** A command's name. Lettuce 6 asks for {@code name()}, too. */
    private record Name(byte[] bytes) implements ProtocolKeyword {
        @Override
        public byte[] getBytes() {
            return bytes;
        }

        @Override
        @SuppressWarnings("deprecation")
        public String name() {
            return toString();
        }

        @Override
        public String toString() {
            return new String(bytes, StandardCharsets.US_ASCII);
        }
    }
}
