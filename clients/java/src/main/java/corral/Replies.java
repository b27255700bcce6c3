package corral;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;

/** Waiting for the answer to a command. */
final class Replies {
    private Replies() {}

    /** If no answer comes, the link is closed. If nobody waits for it any more it may be others' too, and the answer is dropped. */
    static Object of(Link link, Words words) throws Lost, ServerError, InterruptedException {
        try {
            return of(link.send(words.sent()));
        } catch (Lost error) {
            link.close();
            throw error;
        }
    }

    static Object of(CompletableFuture<Object> reply) throws Lost, ServerError, InterruptedException {
        try {
            return Waits.get(reply, Library.READ_LIMIT.toNanos());
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
