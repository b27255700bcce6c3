//! A cache lives at its memory limit and its pools at their connection limits: parking works there, within bounds.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{eventually, raise_file_limit, Client, Reply, Server};

/// What one parked client is counted as.
const BYTES_PER_WAITER: i64 = 36 << 10;
const KEYS: usize = 50;
const WAITERS_PER_KEY: usize = 4;

/// A server whose memory is full of 2 KB strings under this policy, and the limit that it is at.
fn full(policy: &str) -> (Server, i64) {
    let server = Server::with(&["--save", "", "--maxmemory-policy", policy]);
    server.client().run("DEBUG POPULATE 30000 page 2000");
    let limit = is_full(&server);
    (server, limit)
}

/// From now on there is no more memory than is used.
fn is_full(server: &Server) -> i64 {
    let limit = server.info("used_memory");
    assert!(server.client().run(&format!("CONFIG SET maxmemory {limit}")).is_ok());
    limit
}

/// Connections whose buffers the server has made: what they cost is not the waiters' doing.
fn met(server: &Server, count: usize) -> Vec<Client> {
    let mut clients = server.clients(count);
    clients.iter_mut().for_each(|client| assert_eq!(client.run("PING").text(), "PONG"));
    clients
}

/// Asks for each key from several connections. Returns how many are parked, and how many were answered at once.
fn herd(server: &Server, clients: &mut [Client]) -> (usize, usize) {
    for (index, client) in clients.iter_mut().enumerate() {
        client.send(&format!("CACHE.GETORLOCK key{} BLOCK 0", index % KEYS));
    }
    let mut counts = (0, 0);
    eventually("everybody is parked or answered", || {
        counts = (server.info("corral_waiters") as usize, clients.iter().filter(|client| client.has_reply()).count());
        counts.0 + counts.1 == clients.len()
    });
    counts
}

#[test]
fn on_a_full_cache_with_a_writer_waiters_are_parked_within_their_share() {
    raise_file_limit();
    let (server, limit) = full("allkeys-lru");
    let fit = (limit / 100 * 3 / BYTES_PER_WAITER) as usize;
    let (mut holder, mut clients) = (server.client(), met(&server, KEYS * WAITERS_PER_KEY));
    assert!(fit < clients.len(), "{fit} fit");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut writer = server.client();
        let is_over = &is_over;
        scope.spawn(move || {
            let value = "v".repeat(2000);
            for number in 0.. {
                writer.run(&format!("SET new{} {value}", number % 100_000));
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let _end = EndsWith(is_over);
        eventually("the cache evicts", || server.info("evicted_keys") > 1000);
        let mut tokens: Vec<i64> =
            (0..KEYS).map(|key| holder.ask(&format!("CACHE.GETORLOCK key{key} LEASE 290000")).token()).collect();
        let (parked, answered) = herd(&server, &mut clients);
        eprintln!("{parked} of {} are parked, {fit} fit", clients.len());
        let refused = server.info("corral_waiters_refused_memory") as usize;
        let mut granted = 0;
        let mut waiting = Vec::new();
        for (index, mut client) in std::mem::take(&mut clients).into_iter().enumerate() {
            if !client.has_reply() {
                waiting.push(client);
                continue;
            }
            let reply = client.read().triple();
            // Its lease was evicted before it asked.
            if reply.state == "LOCK" {
                tokens[index % KEYS] = reply.number;
                granted += 1;
            } else {
                assert!(reply.is("WAIT", None), "{reply:?}");
            }
        }
        assert_eq!(refused + granted, answered);
        assert!(parked <= fit && parked + 5 >= fit, "{parked} are parked, {fit} fit");
        for (key, token) in tokens.iter().enumerate() {
            let reply = holder.run(&format!("CACHE.FILL key{key} {token} html PX 60000"));
            assert!(!matches!(reply, Reply::Error(_)), "{reply:?}");
        }
        let states: Vec<String> = waiting.iter_mut().map(|client| client.read().triple().state).collect();
        assert!(states.iter().all(|state| state == "HIT"), "{states:?}");
    });
    assert_eq!(server.info("corral_waiters"), 0);
    assert_eq!(server.info("corral_panics_caught"), 0);
}

#[test]
fn on_a_full_cache_a_herd_evicts_no_more_than_its_share() {
    raise_file_limit();
    let (server, limit) = full("allkeys-lru");
    let (mut holder, mut clients) = (server.client(), met(&server, KEYS * WAITERS_PER_KEY));
    assert!(holder.run("CONFIG SET corral.waiters-memory-percent 5").is_ok());
    for key in 0..KEYS {
        holder.ask(&format!("CACHE.GETORLOCK key{key} LEASE 290000")).token();
    }
    let bytes_per_key = limit / 30_000;
    let before = server.info("evicted_keys");
    let (parked, _) = herd(&server, &mut clients);
    let evicted = (server.info("evicted_keys") - before) * bytes_per_key;
    eprintln!("{parked} are parked, {} KB were evicted of {} KB", evicted >> 10, limit >> 10);
    // And what `INFO everything`, which this test asks again and again, takes for itself.
    const ASKING: i64 = 512 << 10;
    assert!(evicted <= limit / 100 * 5 + ASKING, "{evicted} bytes for {parked} waiters");
    assert!(parked > 0);
}

#[test]
fn where_nothing_can_be_evicted_nobody_is_parked_over_the_limit() {
    for policy in ["noeviction", "volatile-lru"] {
        let server = Server::with(&["--save", "", "--maxmemory-policy", policy]);
        let (mut holder, mut caller) = (server.client(), server.client());
        holder.run("DEBUG POPULATE 10000 page 2000");
        holder.ask("CACHE.GETORLOCK key LEASE 290000").token();
        // Under volatile-lru a placeholder with a TTL could be evicted.
        holder.run("PERSIST key");
        is_full(&server);
        let answer = caller.ask("CACHE.GETORLOCK key BLOCK 0");
        assert!(answer.is("WAIT", None), "{policy}: {answer:?}");
        assert_eq!(server.info("corral_waiters_refused_memory"), 1, "{policy}");
        // With room for it, it is parked under the same policy.
        holder.run(&format!("CONFIG SET maxmemory {}", server.info("used_memory") + (20 << 20)));
        server.park(&mut caller, "CACHE.GETORLOCK key BLOCK 0");
    }
}

#[test]
fn nobody_is_parked_where_the_last_connections_are_needed_for_fills() {
    const LIMIT: usize = 100;
    /// The larger of 32 and a twentieth.
    const KEPT_FREE: usize = 32;
    let server = Server::start();
    let mut holder = server.client();
    assert!(holder.run(&format!("CONFIG SET maxclients {LIMIT}")).is_ok());
    let token = holder.ask("CACHE.GETORLOCK page LEASE 290000").token();
    let mut callers = Vec::new();
    let mut parked = 0;
    // As a pool does: one more connection whenever all are in use.
    while callers.len() < LIMIT - 5 {
        let mut caller = server.client();
        let connected = caller.info("connected_clients") as usize;
        caller.send("CACHE.GETORLOCK page BLOCK 0");
        if connected < LIMIT - KEPT_FREE {
            parked += 1;
            eventually("it is parked", || holder.run("INFO corral").text().contains(&format!("waiters:{parked}\r\n")));
        } else {
            eventually(&format!("an answer beside {connected} connections"), || caller.has_reply());
            assert!(caller.read().triple().is("WAIT", None));
        }
        callers.push(caller);
    }
    eprintln!("{parked} are parked");
    assert!(parked + KEPT_FREE >= LIMIT - 3);
    assert_eq!(server.info("corral_waiters_refused_clients") as usize, callers.len() - parked);
    assert!(server.client().run(&format!("CACHE.FILL page {token} html")).is_ok(), "a new connection carries the fill");
    callers[..parked].iter_mut().for_each(|caller| assert!(caller.read().triple().is("HIT", Some("html"))));
}

/// Ends the writer, also when the test fails.
struct EndsWith<'a>(&'a AtomicBool);

impl Drop for EndsWith<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
