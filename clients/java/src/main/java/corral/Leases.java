package corral;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Asking for a key, and what a holder owes: a tie, renewal while it builds, one verdict at the end. */
final class Leases {
    /**
     * What GETORLOCK said. {@code lease} comes with LOCK and REFRESH.
     *
     * @param sent when it was asked for, at the latest
     */
    record Answer(String state, byte[] value, long number, Lease lease, long sent) {}

    /** Below the read time-outs of everything between here and the server. */
    private static final long SLICE_MS = 2_000;
    /** The same in every package: what is shorter may be a busy machine's. */
    private static final long WAIT_WORTH_TELLING = TimeUnit.MILLISECONDS.toNanos(10);

    private final Server server;
    private final Threads threads;
    private final Teller teller;
    private final Semaphore parking;

    Leases(Server server, Settings settings, Threads threads, Teller teller) {
        this.server = server;
        this.threads = threads;
        this.teller = teller;
        parking = new Semaphore(settings.maxWaiting);
    }

    /** One round trip for what is there; who has to wait is parked, in slices, on a connection of its own. */
    Answer ask(Key key, Options o, boolean force, long deadline) throws ServerError, InterruptedException {
        long began = System.nanoTime();
        boolean waits = false;
        while (true) {
            long asked = System.nanoTime();
            boolean parks = waits && deadline - asked > 1_000_000 && parking.tryAcquire();
            Server.Reached reached;
            try {
                reached = server.reach(key, new Question(key, o, force, parks, deadline), deadline);
            } finally {
                if (parks) parking.release();
            }
            Answer answer = read(reached, key, o, asked);
            if (answer.lease != null) return answer;
            reached.giveBack();
            long now = System.nanoTime();
            if (!answer.state.equals("WAIT") || now - deadline >= 0) {
                if (waits && now - began > WAIT_WORTH_TELLING) teller.tell("waited", key, now - began, null);
                return answer;
            }
            // Asked to be parked and was not: the room is full. Or all of this process's places are taken.
            boolean full = waits && now - asked < TimeUnit.MILLISECONDS.toNanos(20);
            if (full || waits && !parks) Server.pause(deadline);
            waits = true;
        }
    }

    private Answer read(Server.Reached reached, Key key, Options o, long sent) {
        Triple reply = Triple.of(reached.reply());
        String state = reply == null ? "" : reply.state();
        return switch (state) {
            case "LOCK", "REFRESH" -> {
                Link own = reached.alone() ? reached.link() : null;
                yield new Answer(state, reply.value(), reply.number(), new Lease(key, reply.number(), reached.node(), own, o.lease), sent);
            }
            case "HIT", "STALE", "WAIT", "PASS", "FAIL" -> new Answer(state, reply.value(), reply.number(), null, sent);
            default -> {
                reached.link().close(); // should it be a grant, the tie ends it
                if (reply == null) throw new UnknownAnswer("CACHE.GETORLOCK answered " + Words.text(reached.reply()), null);
                throw new UnknownAnswer("CACHE.GETORLOCK answered the state " + state + ", which this version does not know", null);
            }
        };
    }

    private final class Question implements Server.Request {
        private final Key key;
        private final Options o;
        private final boolean force;
        private final boolean parks;
        private final long deadline;

        Question(Key key, Options o, boolean force, boolean parks, long deadline) {
            this.key = key;
            this.o = o;
            this.force = force;
            this.parks = parks;
            this.deadline = deadline;
        }

        @Override
        public Words to(Node node, boolean alone) {
            Words words = Words.of("CACHE.GETORLOCK", key).add("LEASE").add(Words.milliseconds(o.lease));
            if (alone) words.add("TIED");
            if (force) words.add("FORCE").add("NOSTALE");
            if (o.group != null) {
                node.features.need("cache.getorlock group");
                words.add("GROUP").add(o.group);
            }
            long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
            if (parks && left > 0) words.add("BLOCK").add(Math.min(SLICE_MS, left));
            // A group may have a time to block of its own, and all others' calls would stand behind it on a shared connection.
            else if (o.group != null) words.add("BLOCK").add(1);
            return words;
        }

        @Override
        public boolean isAlone(Node node) {
            return parks || !node.isShared();
        }

        @Override
        public boolean parks() {
            return parks;
        }

        @Override
        public void unheard(Node node, Object reply) {
            Triple late = Triple.of(reply);
            if (late == null || !late.state().equals("LOCK") && !late.state().equals("REFRESH")) return;
            conclude(new Lease(key, late.number(), node, null, o.lease), "CACHE.RELEASE");
        }
    }

    /**
     * Moves the tie to a connection of its own, so that a killed process frees the lease at once. Done before the build
     * begins: a build may kill its process. Without a connection the lease still holds, until its deadline. False if it was
     * taken over or invalidated.
     */
    boolean tie(Lease lease) throws InterruptedException {
        if (lease.link != null) return true;
        Link link = null;
        try {
            link = lease.node.take();
            Object reply = Replies.of(link, lease.words("CACHE.RENEW").add(Words.milliseconds(lease.length)).add("TIED"));
            lease.link = link;
            return reply != null;
        } catch (Lost | ServerError error) {
            if (link != null) link.close();
            Log.warn("the lease of " + lease.key + " could not be tied to a connection: " + error.getMessage());
            return true;
        } catch (InterruptedException error) {
            lease.link = link; // what ends it follows over the same connection: one that closes would count as a dead builder
            throw error;
        }
    }

    /** One that lies in a queue keeps no connection from others. Its tie stays with whoever has it next, until it is moved. */
    void untie(Lease lease) {
        Link link = lease.link;
        if (link == null || !lease.node.movesTies()) return;
        lease.link = null;
        lease.node.give(link);
    }

    /** Until the verdict, at a third of the lease. */
    void renew(Lease lease) {
        long every = Math.max(1, lease.length.toMillis() / 3);
        lease.renewal = threads.clock.scheduleWithFixedDelay(
            () -> threads.aside.execute(() -> renewOnce(lease)), every, every, TimeUnit.MILLISECONDS);
    }

    private void renewOnce(Lease lease) {
        if (!lease.speaking.tryAcquire()) return; // the last one is still under way, or the verdict is
        try {
            Link link = lease.link;
            if (lease.ended || link == null || !link.isOpen()) return;
            // Nil: taken over or invalidated. Who joined still gets what is being built.
            if (Replies.of(link, lease.words("CACHE.RENEW").add(Words.milliseconds(lease.length))) == null) lease.renewal.cancel(false);
        } catch (Lost | ServerError | InterruptedException error) {
            Log.warn("the lease of " + lease.key + " could not be renewed: " + error.getMessage());
        } finally {
            lease.speaking.release();
        }
    }

    /**
     * Speaks the verdict over the held connection, or once over another, also if the caller is interrupted meanwhile.
     * Whoever built has the value in any case, so nothing but a missing right is thrown. Null: it was not taken.
     */
    Object conclude(Lease lease, String command, byte[]... rest) {
        lease.ended = true;
        if (lease.renewal != null) lease.renewal.cancel(false);
        CompletableFuture<Object> spoken = CompletableFuture.supplyAsync(() -> speak(lease, command, rest), threads.aside);
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    return Waits.get(spoken, Long.MAX_VALUE);
                } catch (InterruptedException later) {
                    interrupted = true;
                } catch (ExecutionException | TimeoutException error) {
                    if (error.getCause() instanceof RuntimeException cause) throw cause;
                    throw new IllegalStateException(error.getCause());
                }
            }
        } finally {
            if (interrupted) Thread.currentThread().interrupt();
        }
    }

    private Object speak(Lease lease, String command, byte[]... rest) {
        Words words = lease.words(command);
        for (byte[] word : rest) words.add(word);
        try {
            boolean quiet = lease.speaking.tryAcquire(Library.READ_LIMIT.toMillis(), TimeUnit.MILLISECONDS);
            Link link = lease.link;
            if (quiet && link != null && link.isOpen()) {
                try {
                    Object reply = Replies.of(link, words);
                    lease.node.give(link);
                    return concluded(lease, command, reply);
                } catch (Lost error) {
                    // Once more, over another.
                } catch (ServerError error) {
                    if (isFinal(lease, link, command, error)) throw error;
                }
            }
            return concluded(lease, command, server.command(lease.key, words));
        } catch (NoPermission error) {
            throw error;
        } catch (ServerError | RuntimeException | InterruptedException error) {
            if (error instanceof ServerError refused && refused.kind == ServerError.Kind.DENIED) {
                throw new NoPermission(lease.node.name() + ": " + error.getMessage(), error);
            }
            Log.warn(command + " " + lease.key + " was not taken: " + error.getMessage());
            teller.tell("not_stored", lease.key, -1, error);
            return null;
        }
    }

    private Object concluded(Lease lease, String command, Object reply) {
        // Invalidated meanwhile, or somebody took over.
        if (reply == null && command.equals("CACHE.FILL")) teller.tell("not_stored", lease.key);
        return reply;
    }

    /** Whether another connection would hear the same. */
    private static boolean isFinal(Lease lease, Link link, String command, ServerError error) throws InterruptedException {
        if (error.kind == ServerError.Kind.OTHER && command.equals("CACHE.FILL")) {
            // Refused as it stands, and so would be what every next builder brings.
            try {
                Replies.of(link, lease.words("CACHE.FAIL").add(error.getMessage()));
            } catch (Lost | ServerError too) {
                error.addSuppressed(too);
            }
        }
        link.close(); // should the lease still be live, the tie ends it
        return error.kind != ServerError.Kind.MOVED && error.kind != ServerError.Kind.AGAIN;
    }
}
