//! Moments that meet: asks and fills, answers and limits, deadlines and renewals. Everybody is answered once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::{ask_together, raise_file_limit, Server};

#[test]
fn twenty_thousand_requests_for_a_cold_key_from_a_thousand_connections_need_one_rebuild() {
    raise_file_limit();
    let server = Server::start();
    let mut herd = server.clients(1000);
    let mut rebuilds = 0;
    for _ in 0..20 {
        ask_together(&mut herd, "CACHE.GETORLOCK page BLOCK 0 LEASE 60000", |client, answer| {
            match answer.state.as_str() {
                "LOCK" => {
                    rebuilds += 1;
                    assert!(client.run(&format!("CACHE.FILL page {} html PX 600000", answer.token())).is_ok());
                }
                _ => assert!(answer.is("HIT", Some("html")), "{answer:?}"),
            }
        });
    }
    assert_eq!(rebuilds, 1);
    assert_eq!(server.info("corral_leases_granted"), 1);
}

/// Each client asks and rebuilds in a thread of its own while another deletes: whoever asks in the moment between a
/// fill's look and its wake must not be forgotten.
#[test]
fn no_wake_up_is_lost_among_asks_fills_and_deletes() {
    const THREADS: usize = 8;
    const ASKS: usize = 1500;
    let server = Server::start();
    let (finished, rebuilding, rebuilds) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut client = server.client();
                for _ in 0..ASKS {
                    // No reply within the harness's deadline is a panic.
                    let answer = client.ask("CACHE.GETORLOCK page BLOCK 0 LEASE 60000");
                    if answer.state == "LOCK" {
                        rebuilds.fetch_add(1, Ordering::Relaxed);
                        rebuilding.fetch_add(1, Ordering::Relaxed);
                        client.run(&format!("CACHE.FILL page {} html PX 600000", answer.token()));
                        rebuilding.fetch_sub(1, Ordering::Relaxed);
                    } else {
                        assert!(answer.is("HIT", Some("html")), "{answer:?}");
                    }
                }
                finished.fetch_add(1, Ordering::Relaxed);
            });
        }
        scope.spawn(|| {
            let mut client = server.client();
            while finished.load(Ordering::Relaxed) < THREADS {
                // The other side of the race: a delete while somebody rebuilds, and nobody left to fill afterwards
                // but those who ask again.
                client.run("DEL page");
            }
        });
    });
    eprintln!("{} rebuilds in {} asks", rebuilds.load(Ordering::Relaxed), THREADS * ASKS);
    assert_eq!(server.info("blocked_clients"), 0);
    assert_eq!(server.info("corral_waiters"), 0);
}

#[test]
fn an_answer_that_meets_its_waiters_own_limit_comes_once() {
    const WAITERS: usize = 60;
    let server = Server::start();
    let mut holder = server.client();
    let mut waiters = server.clients(WAITERS);
    let (mut waited, mut hit) = (0, 0);
    // Ten thousand races.
    for turn in 0..170 {
        let token = holder.ask(&format!("CACHE.GETORLOCK page{turn} LEASE 60000")).token();
        for (index, waiter) in waiters.iter_mut().enumerate() {
            waiter.send(&format!("CACHE.GETORLOCK page{turn} BLOCK {}", 1 + index / 2));
        }
        // About when half of the limits have passed.
        while server.waiters(&format!("page{turn}")) > WAITERS as i64 / 2 {}
        assert!(holder.run(&format!("CACHE.FILL page{turn} {token} html")).is_ok());
        for waiter in &mut waiters {
            let answer = waiter.read().triple();
            match answer.state.as_str() {
                "WAIT" => waited += 1,
                _ => {
                    assert!(answer.is("HIT", Some("html")), "{answer:?}");
                    hit += 1;
                }
            }
            assert_eq!(waiter.run("PING").text(), "PONG", "no second answer");
        }
    }
    eprintln!("{waited} limits passed first, {hit} answers came first");
    assert_eq!(server.info("blocked_clients"), 0);
}

/// At most one live lease per key, and a token that lost it can do nothing.
#[test]
fn among_leases_that_keep_running_out_only_the_current_token_fills() {
    const THREADS: usize = 6;
    let server = Server::start();
    let (over, filled, void) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut client = server.client();
                let mut last = 0;
                while !over.load(Ordering::Relaxed) {
                    let answer = client.ask("CACHE.GETORLOCK page BLOCK 200 LEASE 2 FORCE");
                    if !matches!(answer.state.as_str(), "LOCK" | "REFRESH") {
                        continue;
                    }
                    let token = answer.token();
                    assert!(token > last, "{token} after {last}");
                    last = token;
                    // Some are in time and some are not.
                    for _ in 0..token % 40 {
                        client.run("PING");
                    }
                    let reply = client.run(&format!("CACHE.FILL page {token} {token} PX 3"));
                    if reply.is_nil() {
                        void.fetch_add(1, Ordering::Relaxed);
                        // What is there was filled by a later token.
                        if let Some(value) = client.ask("CACHE.GET page").value {
                            let value: i64 = String::from_utf8(value).unwrap().parse().unwrap();
                            assert!(value != token, "a void fill was stored");
                        }
                    } else {
                        assert!(reply.is_ok(), "{reply:?}");
                        filled.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        while filled.load(Ordering::Relaxed) < 1500 {
            std::thread::yield_now();
        }
        over.store(true, Ordering::Relaxed);
    });
    let (filled, void) = (filled.into_inner(), void.into_inner());
    eprintln!("{filled} fills landed, {void} were void");
    assert_eq!(server.info("corral_fills"), filled as i64);
    assert_eq!(server.info("corral_void_fills"), void as i64);
}
