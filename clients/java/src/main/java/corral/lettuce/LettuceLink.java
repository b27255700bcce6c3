package corral.lettuce;

import corral.Link;
import corral.Lost;
import corral.ServerError;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.codec.ByteArrayCodec;
import io.lettuce.core.protocol.Command;
import io.lettuce.core.protocol.CommandArgs;
import io.lettuce.core.protocol.ProtocolKeyword;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;

final class LettuceLink implements Link {
    private final StatefulRedisConnection<byte[], byte[]> connection;
    private final AtomicBoolean closed = new AtomicBoolean();

    LettuceLink(StatefulRedisConnection<byte[], byte[]> connection) {
        this.connection = connection;
    }

    @Override
    public CompletableFuture<Object> send(byte[]... words) {
        CommandArgs<byte[], byte[]> args = new CommandArgs<>(ByteArrayCodec.INSTANCE);
        for (int at = 1; at < words.length; at++) args.add(words[at]);
        Sent sent = new Sent(new Name(words[0]), args);
        try {
            connection.dispatch(sent);
        } catch (RuntimeException error) {
            sent.completeExceptionally(error);
        }
        return sent.reply;
    }

    @Override
    public boolean isOpen() {
        return !closed.get() && connection.isOpen();
    }

    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) connection.closeAsync(); // a second time Lettuce warns of
    }

    /** Lettuce's own futures come with a proxy class, which costs a process that has just started more than all else here. */
    private static final class Sent extends Command<byte[], byte[], Object> {
        final CompletableFuture<Object> reply = new CompletableFuture<>();

        Sent(ProtocolKeyword name, CommandArgs<byte[], byte[]> args) {
            super(name, new ReplyOutput(), args);
        }

        @Override
        public void complete() {
            super.complete();
            if (getOutput().hasError()) reply.completeExceptionally(new ServerError(getOutput().getError(), null));
            else reply.complete(getOutput().get());
        }

        @Override
        public boolean completeExceptionally(Throwable error) {
            super.completeExceptionally(error);
            return reply.completeExceptionally(LettuceLibrary.failure(error));
        }

        @Override
        public void cancel() {
            super.cancel();
            reply.completeExceptionally(Lost.broken("the connection was closed", null));
        }
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
