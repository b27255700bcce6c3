//! Not modified: the value stays, its times are renewed.

use crate::harness::Server;

#[test]
fn the_value_is_kept_and_its_times_are_renewed() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html PX 20 SWR 600000 SIE 700000");
    client.until("CACHE.GET page", "STALE");
    let token = client.ask("CACHE.GETORLOCK page").token();
    assert!(client.run(&format!("CACHE.TOUCH page {token} PX 60000 SWR 5000 SIE 9000")).is_ok());
    let hit = client.ask("CACHE.GETORLOCK page");
    assert!(hit.is("HIT", Some("html")) && (1..=60_000).contains(&hit.number), "{hit:?}");
    let info = client.run("CACHE.INFO page");
    assert_eq!((info.field("swr-ms").number(), info.field("sie-ms").number()), (5000, 9000));
    assert!(info.field("lease").is_nil());
    assert!((60_001..=69_000).contains(&client.run("PTTL page").number()));
}

#[test]
fn times_are_said_as_to_fill() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html PX 60000");
    let touches = [
        ("", -1..=-1),
        ("EX 100", 90_000..=100_000),
        ("px 100000", 90_000..=100_000),
        ("JITTER 50 EX 100", 40_000..=100_000),
    ];
    for (options, fresh_ms) in touches {
        let token = client.ask("CACHE.GETORLOCK page FORCE").token();
        assert!(client.run(&format!("CACHE.TOUCH page {token} {options}")).is_ok());
        let hit = client.ask("CACHE.GET page");
        assert!(hit.is("HIT", Some("html")) && fresh_ms.contains(&hit.number), "{options}: {hit:?}");
    }
}

#[test]
fn waiters_are_woken_with_the_kept_value() {
    let server = Server::start();
    let mut holder = server.client();
    holder.run("CACHE.SET page html PX 20 SIE 600000");
    holder.until("CACHE.GET page", "STALE");
    let token = holder.ask("CACHE.GETORLOCK page LEASE 300000").token();
    let mut waiters = server.clients(20);
    server.park_all(&mut waiters[..10], "CACHE.GETORLOCK page BLOCK 0");
    server.park_all(&mut waiters[10..], "CACHE.GETORLOCK page NOSTALE BLOCK 0");
    assert!(holder.run(&format!("CACHE.TOUCH page {token} PX 60000")).is_ok());
    for waiter in &mut waiters {
        let hit = waiter.read().triple();
        assert!(hit.is("HIT", Some("html")) && (1..=60_000).contains(&hit.number), "{hit:?}");
    }
}

#[test]
fn a_token_that_does_not_hold_the_lease_renews_nothing() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html PX 60000");
    let token = client.ask("CACHE.GETORLOCK page FORCE").token();
    assert!(client.run(&format!("CACHE.TOUCH page {} PX 600000", token + 1)).is_nil());
    assert!(client.run("CACHE.TOUCH nothing 12345 PX 600000").is_nil());
    assert!(client.ask("CACHE.GET page").number <= 60_000);
    client.run("CACHE.INVALIDATE page");
    assert!(client.run(&format!("CACHE.TOUCH page {token} PX 600000")).is_nil(), "it began before the invalidation");
    assert!(!client.ask("CACHE.GET page").is("HIT", Some("html")));
}

#[test]
fn without_a_value_there_is_nothing_to_renew_and_the_lease_stays() {
    let server = Server::start();
    let (mut holder, mut waiter) = (server.client(), server.client());
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    assert!(holder.run(&format!("CACHE.TOUCH page {token} PX 60000")).is_nil());
    assert!(!waiter.has_reply());
    assert_eq!(holder.run("CACHE.INFO page").field("lease").field("token").number(), token);
    assert!(holder.run(&format!("CACHE.FILL page {token} html PX 60000")).is_ok());
    assert!(waiter.read().triple().is("HIT", Some("html")));
}

#[test]
fn a_touch_ends_the_failures_that_came_before() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html PX 20 SIE 600000");
    client.until("CACHE.GET page", "STALE");
    let token = client.ask("CACHE.GETORLOCK page").token();
    client.run(&format!("CACHE.FAIL page {token} down BACKOFF 50"));
    let token = client.until("CACHE.GETORLOCK page", "LOCK").token();
    assert!(client.run(&format!("CACHE.TOUCH page {token} PX 60000")).is_ok());
    assert!(client.run("CACHE.INFO page").field("last-failure").is_nil());
}
