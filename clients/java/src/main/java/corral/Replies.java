package corral;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Waiting for the answer to a command. */
final class Replies {
    private Replies() {}

    /** Over a link that nobody else uses: if no answer comes, or nobody waits for it any more, the link is closed. */
    static Object of(Link link, Words words) throws Lost, ServerError, InterruptedException {
        try {
            return of(link.send(words.sent()));
        } catch (Lost | InterruptedException error) {
            link.close();
            throw error;
        }
    }

    static Object of(CompletableFuture<Object> reply) throws Lost, ServerError, InterruptedException {
        try {
            return reply.get(Library.READ_LIMIT.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException error) {
            throw Lost.silent("no answer within " + Library.READ_LIMIT.toSeconds() + " s", error);
        } catch (ExecutionException error) {
            Throwable cause = error.getCause();
            if (cause instanceof ServerError refused) throw refused;
            if (cause instanceof Lost lost) throw lost;
            throw Lost.broken(String.valueOf(cause), cause);
        }
    }
}
