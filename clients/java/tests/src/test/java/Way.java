import corral.Library;
import corral.jedis.JedisLibrary;
import corral.lettuce.LettuceLibrary;
import io.lettuce.core.RedisURI;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import redis.clients.jedis.RedisClient;

/** A way to the server that can be made slow, or broken. */
final class Way implements AutoCloseable {
    private final ServerSocket listening = free();
    private final Set<Socket> open = ConcurrentHashMap.newKeySet();
    private final AtomicInteger refused = new AtomicInteger();
    private volatile long lateMs;

    Way() {
        begin(this::accept);
    }

    int port() {
        return listening.getLocalPort();
    }

    Library lettuce() {
        return LettuceLibrary.of(io.lettuce.core.RedisClient.create(TestServer.LETTUCE.getResources(), RedisURI.create("127.0.0.1", port())));
    }

    Library jedis() {
        return JedisLibrary.of(RedisClient.create("127.0.0.1", port()));
    }

    void answersTake(long milliseconds) {
        lateMs = milliseconds;
    }

    /** All connections, and so many of the next. */
    void breaks(int next) throws IOException {
        refused.set(next);
        for (Socket socket : open) socket.close();
        open.clear();
    }

    private void accept() throws IOException {
        while (true) {
            Socket caller = listening.accept();
            if (refused.getAndUpdate(left -> Math.max(0, left - 1)) > 0) {
                caller.close();
                continue;
            }
            URI url = URI.create(TestServer.URL);
            Socket server = new Socket(url.getHost(), url.getPort());
            open.add(caller);
            open.add(server);
            begin(() -> carry(caller, server, false));
            begin(() -> carry(server, caller, true));
        }
    }

    private void carry(Socket from, Socket to, boolean answers) throws IOException, InterruptedException {
        byte[] bytes = new byte[65_536];
        try (from; to) {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            for (int count; (count = in.read(bytes)) > 0; ) {
                if (answers) Thread.sleep(lateMs);
                out.write(bytes, 0, count);
            }
        }
    }

    private interface Work {
        void run() throws IOException, InterruptedException;
    }

    private static void begin(Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (IOException | InterruptedException closed) {
                // The way is broken, as was wanted.
            }
        });
        thread.setDaemon(true);
        thread.start();
    }

    private static ServerSocket free() {
        int first = (int) (ProcessHandle.current().pid() % 10_000);
        for (int port = 20_000 + first; port < 32_000; port++) {
            try {
                return new ServerSocket(port, 50, InetAddress.getLoopbackAddress());
            } catch (IOException taken) {
                // The next one, then.
            }
        }
        throw new IllegalStateException("no port is free");
    }

    @Override
    public void close() throws IOException {
        listening.close();
        breaks(0);
    }
}
