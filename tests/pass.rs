//! Results that must not be shared: everybody builds for themselves, and nobody queues.

use crate::harness::{ask_together, Client, Server};

/// Marks a key as not to be shared.
fn mark(client: &mut Client, key: &str, options: &str) {
    let token = client.ask(&format!("CACHE.GETORLOCK {key} NOSTALE")).token();
    assert!(client.run(&format!("CACHE.PASS {key} {token} {options}")).is_ok());
}

#[test]
fn a_hundred_waiters_are_released_at_once_and_do_not_queue_behind_each_other() {
    let server = Server::start();
    let mut holder = server.client();
    let token = holder.ask("CACHE.GETORLOCK cart LEASE 300000").token();
    let mut waiters = server.clients(100);
    server.park_all(&mut waiters, "CACHE.GETORLOCK cart BLOCK 0");
    assert!(holder.run(&format!("CACHE.PASS cart {token} PX 60000")).is_ok());
    // None of them does anything for the next: all are answered by the one PASS.
    for waiter in &mut waiters {
        let pass = waiter.read().triple();
        assert!(pass.is("PASS", None) && (1..=60_000).contains(&pass.number), "{pass:?}");
    }
    assert_eq!(server.waiters("cart"), 0);
    // Nor do they queue when they come again.
    ask_together(&mut waiters, "CACHE.GETORLOCK cart BLOCK 0 NOSTALE", |_, answer| {
        assert!(answer.is("PASS", None), "{answer:?}");
    });
    assert_eq!(server.info("corral_leases_granted"), 1);
    assert_eq!(server.info("corral_waiters_peak"), 100);
    assert_eq!(server.info("corral_waiters_served"), 100);
    assert_eq!(server.info("corral_rebuilds_saved"), 0, "each builds for itself");
    assert_eq!(server.info("corral_passes"), 1);
}

#[test]
fn the_mark_ends_by_itself() {
    let server = Server::start();
    let mut client = server.client();
    mark(&mut client, "cart", "PX 100");
    client.until("CACHE.GET cart", "MISS");
    assert_eq!(client.run("EXISTS cart").number(), 0);
    assert!(client.ask("CACHE.GETORLOCK cart").is("LOCK", None));
}

#[test]
fn set_invalidate_and_del_end_the_mark() {
    let server = Server::start();
    let mut client = server.client();
    mark(&mut client, "cart", "PX 60000");
    assert!(client.run("CACHE.SET cart shared PX 60000").is_ok());
    assert!(client.ask("CACHE.GETORLOCK cart").is("HIT", Some("shared")));
    for ends_by in ["CACHE.INVALIDATE cart", "DEL cart"] {
        client.run("FLUSHALL");
        mark(&mut client, "cart", "PX 60000");
        assert!(client.ask("CACHE.GET cart").is("PASS", None));
        assert_eq!(client.run(ends_by).number(), 1, "{ends_by}");
        assert!(client.ask("CACHE.GET cart").is("MISS", None), "{ends_by}");
        assert!(client.ask("CACHE.GETORLOCK cart").is("LOCK", None), "{ends_by}");
    }
}

#[test]
fn an_old_value_is_dropped() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET cart old PX 20 SWR 600000 SIE 600000");
    client.until("CACHE.GET cart", "STALE");
    mark(&mut client, "cart", "PX 1000");
    assert!(client.ask("CACHE.GET cart").is("PASS", None));
    assert_eq!(client.run("CACHE.INFO cart").field("value-bytes").number(), 0);
    client.until("CACHE.GET cart", "MISS");
    assert!(client.ask("CACHE.GETORLOCK cart").is("LOCK", None));
}

#[test]
fn a_fresh_value_that_a_forced_refresh_finds_personal_is_dropped_too() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET cart html PX 600000");
    let token = client.ask("CACHE.GETORLOCK cart FORCE").token();
    assert!(client.run(&format!("CACHE.PASS cart {token} PX 60000")).is_ok());
    assert!(client.ask("CACHE.GETORLOCK cart").is("PASS", None));
    assert!(client.run(&format!("CACHE.FILL cart {token} late")).is_nil(), "the lease has ended");
}

#[test]
fn a_token_that_does_not_hold_the_lease_cannot_pass() {
    let server = Server::start();
    let (mut client, mut waiter) = (server.client(), server.client());
    let token = client.ask("CACHE.GETORLOCK cart LEASE 60000").token();
    server.park(&mut waiter, "CACHE.GETORLOCK cart BLOCK 0");
    assert!(client.run(&format!("CACHE.PASS cart {}", token + 1)).is_nil());
    assert!(client.run("CACHE.PASS nothing 12345").is_nil());
    assert!(!waiter.has_reply());
    assert!(client.run(&format!("CACHE.FILL cart {token} html PX 60000")).is_ok());
    assert!(waiter.read().triple().is("HIT", Some("html")));
}

#[test]
fn the_setting_is_the_length_of_those_who_name_none() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CONFIG SET corral.pass-ms 90000");
    mark(&mut client, "cart", "");
    let pass = client.ask("CACHE.GETORLOCK cart");
    assert!((60_001..=90_000).contains(&pass.number), "{pass:?}");
    assert!((60_001..=90_000).contains(&client.run("PTTL cart").number()), "the key goes with the mark");
}
