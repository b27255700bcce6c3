//! When memory is short: waiters never hang, hits work, and a herd does not evict the data.

use crate::harness::{eventually, raise_file_limit, Client, Reply, Server};

/// Lets the server be as full as it is, or fuller.
fn leave(client: &mut Client, server: &Server, bytes: i64) {
    let limit = server.info("used_memory") + bytes;
    assert!(client.run(&format!("CONFIG SET maxmemory {limit}")).is_ok());
}

#[test]
fn a_fill_without_memory_serves_the_waiters_stores_nothing_and_ends_the_lease() {
    let server = Server::start();
    let mut holder = server.client();
    let mut waiters = server.clients(20);
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    leave(&mut holder, &server, -(100 << 10));
    let refused = holder.run(&format!("CACHE.FILL page {token} html PX 60000"));
    assert!(refused.error().starts_with("OOM "), "{refused:?}");
    for waiter in &mut waiters {
        let hit = waiter.read().triple();
        assert!(hit.is("HIT", Some("html")), "{hit:?}");
    }
    let miss = holder.ask("CACHE.GET page");
    assert!(miss.is("MISS", None) && miss.number == 0, "{miss:?}");
    assert!(holder.run(&format!("CACHE.FILL page {token} html")).is_nil(), "the lease has ended");
    holder.run("CONFIG SET maxmemory 0");
    assert!(holder.ask("CACHE.GETORLOCK page").token() > token);
}

#[test]
fn a_void_fill_without_memory_serves_those_who_joined_it_too() {
    let server = Server::start();
    let (mut holder, mut waiter) = (server.client(), server.client());
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    holder.run("DEL page");
    leave(&mut holder, &server, -(100 << 10));
    // Nothing was to be stored, so it does not matter that nothing can be.
    let reply = holder.run(&format!("CACHE.FILL page {token} html"));
    assert!(reply.is_nil(), "{reply:?}");
    assert!(waiter.read().triple().is("HIT", Some("html")));
}

/// The large answers wait for their readers; nobody else does.
#[test]
fn readers_that_do_not_read_hold_up_no_small_answer() {
    const READERS: usize = 100;
    let server = Server::start();
    let (mut holder, mut next, mut impatient) = (server.client(), server.client(), server.client());
    let large = holder.ask("CACHE.GETORLOCK large LEASE 290000").token();
    let small = holder.ask("CACHE.GETORLOCK small LEASE 290000").token();
    let mut readers = server.clients(READERS);
    server.park_all(&mut readers, "CACHE.GETORLOCK large BLOCK 0");
    server.park(&mut next, "CACHE.GETORLOCK small BLOCK 0");
    server.park(&mut impatient, "CACHE.GETORLOCK small BLOCK 300");
    let value = vec![b'x'; 8 << 20];
    let filled = holder.call(&[b"CACHE.FILL", b"large", large.to_string().as_bytes(), &value]);
    assert!(filled.is_ok(), "{filled:?}");
    assert!(impatient.read().triple().is("WAIT", None));
    assert!(holder.run(&format!("CACHE.FILL small {small} html")).is_ok());
    assert!(next.read().triple().is("HIT", Some("html")));
    assert!(server.waiters("large") + server.info("corral_waiters") > 0, "and the large ones are still on their way");
}

#[test]
fn asking_whether_memory_is_full_changes_nothing_whatever_the_key_holds() {
    let server = Server::start();
    let mut client = server.client();
    client.run("RPUSH list element");
    client.run("SET text html");
    for key in ["list", "text", "nothing"] {
        leave(&mut client, &server, 1 << 20);
        // Memory was free when the transaction began and is not any more: what the server would refuse, it does.
        client.run("MULTI");
        client.run("SETRANGE large 4000000 x");
        client.run(&format!("DUMP {key}"));
        client.run(&format!("CACHE.FILL {key} 1 value"));
        client.run(&format!("DUMP {key}"));
        client.run("DEL large");
        let replies = client.run("EXEC");
        let [_, before, filled, after, _] = replies.list() else { panic!("{replies:?}") };
        assert!(filled.is_nil(), "{key}: {filled:?}");
        assert_eq!(before, after, "{key}");
        client.run("CONFIG SET maxmemory 0");
    }
}

#[test]
fn hits_and_leases_are_had_and_verdicts_are_heard_when_memory_is_full() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html PX 600000");
    client.run("CACHE.SET other html PX 600000");
    let token = client.ask("CACHE.GETORLOCK other FORCE").token();
    let ends = [("failed", "FAIL failed {} down"), ("passed", "PASS passed {}"), ("free", "RELEASE free {}")];
    let mut waiters = server.clients(ends.len());
    let tokens = ends.map(|(key, _)| client.ask(&format!("CACHE.GETORLOCK {key}")).token());
    for (waiter, (key, _)) in waiters.iter_mut().zip(ends) {
        server.park(waiter, &format!("CACHE.GETORLOCK {key} BLOCK 0"));
    }
    leave(&mut client, &server, -(100 << 10));
    assert!(client.ask("CACHE.GETORLOCK page").is("HIT", Some("html")));
    assert!(client.ask("CACHE.GET page").is("HIT", Some("html")));
    assert!(client.run("CACHE.SET new html").error().starts_with("OOM "));
    assert_eq!(client.run("EXISTS new").number(), 0);
    let refused = |reply: Reply| assert!(reply.error().starts_with("OOM "), "{reply:?}");
    refused(client.run(&format!("CACHE.RENEW other {token} 5000")));
    refused(client.run("CACHE.INVALIDATE page"));
    assert!(client.ask("CACHE.GET page").is("HIT", Some("html")));
    for ((waiter, (key, words)), token) in waiters.iter_mut().zip(ends).zip(tokens) {
        refused(client.run(&format!("CACHE.{}", words.replace("{}", &token.to_string()))));
        let state = waiter.read().triple().state;
        assert_eq!(state, if key == "free" { "LOCK" } else { &words[..4] });
        assert_ne!(client.ask(&format!("CACHE.GET {key}")).state, "PASS", "no mark is left");
    }
    refused(client.run(&format!("CACHE.TOUCH other {token}")));
    assert_eq!(client.run(&format!("CACHE.RELEASE other {token}")).number(), 0, "TOUCH has ended it");
}

#[test]
fn a_herd_that_would_not_fit_is_told_to_wait_and_evicts_nothing() {
    const HERD: usize = 3000;
    const KEYS: i64 = 50_000;
    raise_file_limit();
    let server = Server::with(&["--save", "", "--maxmemory-policy", "allkeys-lru"]);
    let mut holder = server.client();
    holder.call(&[b"DEBUG", b"POPULATE", KEYS.to_string().as_bytes(), b"key", b"1000"]);
    let token = holder.ask("CACHE.GETORLOCK page LEASE 300000").token();
    let mut herd = server.clients(HERD);
    for client in &mut herd {
        assert_eq!(client.run("PING").text(), "PONG");
    }
    // Room for all of their connections' buffers, which the server takes away from who is silent for seconds; but not for
    // what parking all of them costs, nor may waiters have more than their share.
    leave(&mut holder, &server, 75 << 20);
    for client in &mut herd {
        client.send("CACHE.GETORLOCK page BLOCK 0");
    }
    eventually("everybody is parked or answered", || {
        let answered = herd.iter().filter(|client| client.has_reply()).count();
        answered + server.info("corral_waiters") as usize == HERD
    });
    let parked = server.info("corral_waiters");
    eprintln!("{parked} of {HERD} fit below maxmemory");
    assert!(parked > 0 && parked < HERD as i64 / 2);
    assert_eq!(server.info("evicted_keys"), 0);
    assert_eq!(holder.run("DBSIZE").number(), KEYS + 1);
    assert!(holder.run(&format!("CACHE.FILL page {token} html")).is_ok());
    let mut waited = 0;
    for client in &mut herd {
        let answer = client.read().triple();
        match answer.state.as_str() {
            "WAIT" => waited += 1,
            _ => assert!(answer.is("HIT", Some("html")), "{answer:?}"),
        }
    }
    assert_eq!(waited, HERD as i64 - parked);
}

#[test]
fn a_large_value_for_hundreds_of_waiters_is_copied_a_few_at_a_time_and_evicts_nothing() {
    const WAITERS: usize = 400;
    const VALUE_BYTES: usize = 1 << 20;
    // the contract: at most 128 MiB more for 1,000 waiters of 1 MiB each whose readers keep up.
    const ROOM_BYTES: i64 = 128 << 20;
    raise_file_limit();
    let server = Server::with(&["--save", "", "--maxmemory-policy", "allkeys-lru"]);
    let mut holder = server.client();
    holder.run("DEBUG POPULATE 1000 key 1000");
    let token = holder.ask("CACHE.GETORLOCK page LEASE 300000").token();
    let mut waiters = server.clients(WAITERS);
    server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    let before = server.info("used_memory");
    leave(&mut holder, &server, ROOM_BYTES);
    assert!(holder.run("CONFIG RESETSTAT").is_ok());
    let value = vec![b'x'; VALUE_BYTES];
    assert!(holder.call(&[b"CACHE.FILL", b"page", token.to_string().as_bytes(), &value]).is_ok());
    std::thread::scope(|scope| {
        // As many readers at once as it takes to keep up.
        for some in waiters.chunks_mut(WAITERS / 8) {
            scope.spawn(|| {
                for waiter in some {
                    let hit = waiter.read().triple();
                    assert!(hit.state == "HIT" && hit.value.is_some_and(|value| value.len() == VALUE_BYTES));
                }
            });
        }
    });
    assert_eq!(server.info("evicted_keys"), 0);
    // The server samples its peak ten times a second; evicted keys would tell of a shorter one.
    eprintln!("{} MiB more at the peak", (server.info("used_memory_peak") - before) >> 20);
    assert!(server.info("used_memory_peak") - before <= ROOM_BYTES);
}
