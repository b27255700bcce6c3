//! Rebuilds that fail: who is told what, and how seldom a broken source is asked.

use std::time::{Duration, Instant};

use crate::harness::{ask_together, raise_file_limit, Client, Server, Triple};

const BACKOFF_MS: u128 = 1000;

/// A thousand clients ask over and over while every rebuild fails. Every answer that is no grant, and every reply to a
/// failing holder, has the expected state and value.
fn ask_a_broken_source(server: &Server, length: Duration, expected: (&str, &str)) {
    let mut herd = server.clients(1000);
    let (mut attempts, mut served) = (0, 0);
    let started = Instant::now();
    let check = |answer: &Triple| assert!(answer.is(expected.0, Some(expected.1)), "{answer:?}");
    while started.elapsed() < length {
        ask_together(&mut herd, "CACHE.GETORLOCK page BLOCK 0", |client, answer| {
            served += 1;
            if !matches!(answer.state.as_str(), "LOCK" | "REFRESH") {
                return check(&answer);
            }
            attempts += 1;
            let fail = format!("CACHE.FAIL page {} source-is-down BACKOFF {BACKOFF_MS}", answer.token());
            check(&client.run(&fail).triple());
        });
    }
    let bound = started.elapsed().as_millis() / BACKOFF_MS + 1;
    eprintln!("{attempts} attempts in {:?} (at most {bound}), {served} asks: all {}", started.elapsed(), expected.0);
    assert!(attempts > 1 && attempts <= bound, "{attempts} attempts, at most {bound}");
    assert_eq!(server.info("corral_failures") as u128, attempts);
    assert_eq!(server.info("blocked_clients"), 0, "nobody hangs");
}

/// The token of a lease on a stale value, which is served while its rebuild fails.
fn refreshing(client: &mut Client, windows: &str) -> i64 {
    assert!(client.run(&format!("CACHE.SET page old PX 20 {windows}")).is_ok());
    client.until("CACHE.GET page", "STALE");
    client.ask("CACHE.GETORLOCK page LEASE 300000").token()
}

#[test]
fn a_thousand_clients_are_served_the_old_value_while_the_source_is_asked_once_per_backoff() {
    raise_file_limit();
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page old PX 20 SIE 600000");
    client.until("CACHE.GET page", "STALE");
    ask_a_broken_source(&server, Duration::from_secs(10), ("STALE", "old"));
}

#[test]
fn without_an_old_value_a_thousand_clients_are_told_the_message() {
    raise_file_limit();
    let server = Server::start();
    ask_a_broken_source(&server, Duration::from_secs(10), ("FAIL", "source-is-down"));
}

#[test]
fn the_failing_holder_is_answered_what_a_waiter_is() {
    let server = Server::start();
    let mut holder = server.client();
    let mut waiters = server.clients(10);
    let token = refreshing(&mut holder, "SIE 600000");
    server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    let own = holder.run(&format!("CACHE.FAIL page {token} down BACKOFF 60000")).triple();
    assert!(own.is("STALE", Some("old")) && own.number == 0, "{own:?}");
    for waiter in &mut waiters {
        assert_eq!(waiter.read().triple(), own);
    }

    let token = holder.ask("CACHE.GETORLOCK empty").token();
    server.park_all(&mut waiters, "CACHE.GETORLOCK empty BLOCK 0");
    let own = holder.run(&format!("CACHE.FAIL empty {token} down BACKOFF 60000")).triple();
    assert!(own.is("FAIL", Some("down")) && (1..=60_000).contains(&own.number), "{own:?}");
    for waiter in &mut waiters {
        let told = waiter.read().triple();
        assert!(told.is("FAIL", Some("down")) && (1..=60_000).contains(&told.number), "{told:?}");
    }
}

#[test]
fn a_failed_refresh_wakes_its_waiters_at_once_and_those_who_refuse_old_values_are_told_the_message() {
    let server = Server::start();
    let mut holder = server.client();
    for windows in ["SWR 600000", "SIE 600000", "SWR 600000 SIE 600000"] {
        let mut waiters = server.clients(3);
        let token = refreshing(&mut holder, windows);
        server.park_all(&mut waiters, "CACHE.GETORLOCK page NOSTALE BLOCK 0");
        let own = holder.run(&format!("CACHE.FAIL page {token} down BACKOFF 60000")).triple();
        assert!(own.is("STALE", Some("old")), "{own:?}");
        for waiter in &mut waiters {
            // The lease has minutes left, and a read gives up before.
            let told = waiter.read().triple();
            assert!(told.is("FAIL", Some("down")) && (1..=60_000).contains(&told.number), "{windows}: {told:?}");
        }
    }
}

#[test]
fn force_does_not_break_the_backoff() {
    let server = Server::start();
    let mut client = server.client();
    let token = refreshing(&mut client, "SWR 600000");
    client.run(&format!("CACHE.FAIL page {token} down BACKOFF 60000"));
    assert!(client.ask("CACHE.GETORLOCK page FORCE EARLY 100").is("STALE", Some("old")));
    assert!(client.ask("CACHE.GETORLOCK page FORCE NOSTALE").is("FAIL", Some("down")));

    let token = client.ask("CACHE.GETORLOCK empty").token();
    client.run(&format!("CACHE.FAIL empty {token} down BACKOFF 60000"));
    assert!(client.ask("CACHE.GETORLOCK empty FORCE BLOCK 0").is("FAIL", Some("down")));

    // Nobody is granted the lease: the fresh value stays a hit.
    client.run("CACHE.SET fresh html PX 600000");
    let token = client.ask("CACHE.GETORLOCK fresh FORCE").token();
    client.run(&format!("CACHE.FAIL fresh {token} down BACKOFF 60000"));
    assert!(client.ask("CACHE.GETORLOCK fresh FORCE").is("HIT", Some("html")));
    assert_eq!(server.info("corral_live_leases"), 0);
}

#[test]
fn when_the_backoff_is_over_one_caller_tries_again() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.ask("CACHE.GETORLOCK page").token();
    client.run(&format!("CACHE.FAIL page {token} down BACKOFF 200"));
    client.until("CACHE.GET page", "MISS");
    let mut tokens = Vec::new();
    let mut herd = server.clients(50);
    ask_together(&mut herd, "CACHE.GETORLOCK page", |_, answer| match answer.state.as_str() {
        "WAIT" => {}
        _ => tokens.push(answer.token()),
    });
    assert!(tokens.len() == 1 && tokens[0] > token, "{tokens:?}");

    client.run(&format!("CACHE.FAIL page {} down BACKOFF 0", tokens[0]));
    assert!(client.ask("CACHE.GETORLOCK page").is("LOCK", None), "no back-off was wanted");
}

#[test]
fn the_setting_is_the_backoff_of_those_who_name_none() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CONFIG SET corral.backoff-ms 70000");
    let token = client.ask("CACHE.GETORLOCK page").token();
    let told = client.run(&format!("CACHE.FAIL page {token} down")).triple();
    assert!((60_001..=70_000).contains(&told.number), "{told:?}");
}

#[test]
fn messages_are_any_bytes_up_to_a_bound() {
    let server = Server::start();
    let mut client = server.client();
    let odd: [&[u8]; 4] = [b"", b"%s%n\0\r\n", b"\xff\xfe", &[b'x'; 1024]];
    for message in odd {
        let token = client.ask("CACHE.GETORLOCK page").token().to_string();
        for too_long in [1025, 4 << 20] {
            let refused = client.call(&[b"CACHE.FAIL", b"page", token.as_bytes(), &vec![b'x'; too_long]]);
            assert!(refused.error().starts_with("ERR ") && refused.error().contains("1024"), "{refused:?}");
        }
        // The bad calls changed nothing: the token still holds the lease.
        let own = client.call(&[b"CACHE.FAIL", b"page", token.as_bytes(), message]).triple();
        assert_eq!((own.state.as_str(), own.value.as_deref()), ("FAIL", Some(message)));
        assert_eq!(client.ask("CACHE.GETORLOCK page").value.as_deref(), Some(message));
        client.run("DEL page");
    }
}

#[test]
fn a_token_that_does_not_hold_the_lease_cannot_fail_it() {
    let server = Server::start();
    let (mut client, mut waiter) = (server.client(), server.client());
    let token = client.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    assert!(client.run(&format!("CACHE.FAIL page {} down", token + 1)).is_nil());
    assert!(client.run("CACHE.FAIL nothing 12345 down").is_nil());
    assert!(!waiter.has_reply());
    assert!(client.run(&format!("CACHE.FILL page {token} html")).is_ok());
    assert!(waiter.read().triple().is("HIT", Some("html")));
    assert!(client.run(&format!("CACHE.FAIL page {token} down")).is_nil(), "the lease has ended");
    assert!(client.ask("CACHE.GET page").is("HIT", Some("html")));
}

#[test]
fn a_backoff_survives_an_invalidation() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.ask("CACHE.GETORLOCK empty").token();
    client.run(&format!("CACHE.FAIL empty {token} down BACKOFF 60000"));
    client.run("CACHE.INVALIDATE empty");
    assert!(client.ask("CACHE.GETORLOCK empty").is("FAIL", Some("down")));

    let token = refreshing(&mut client, "SIE 600000");
    client.run(&format!("CACHE.FAIL page {token} down BACKOFF 60000"));
    client.run("CACHE.INVALIDATE page");
    assert!(client.ask("CACHE.GETORLOCK page").is("STALE", Some("old")));
    assert!(client.ask("CACHE.GETORLOCK page NOSTALE").is("FAIL", Some("down")));
}

#[test]
fn set_fill_and_del_end_a_backoff() {
    let server = Server::start();
    let mut client = server.client();
    for ends_by in ["set", "fill", "del"] {
        client.run("FLUSHALL");
        let backoff_ms = if ends_by == "fill" { 50 } else { 60_000 };
        let token = client.ask("CACHE.GETORLOCK page").token();
        client.run(&format!("CACHE.FAIL page {token} down BACKOFF {backoff_ms}"));
        match ends_by {
            "set" => assert!(client.run("CACHE.SET page html PX 600000 SWR 600000").is_ok()),
            "fill" => {
                let token = client.until("CACHE.GETORLOCK page", "LOCK").token();
                assert!(client.run(&format!("CACHE.FILL page {token} html PX 600000 SWR 600000")).is_ok());
            }
            _ => assert_eq!(client.run("DEL page").number(), 1),
        }
        if ends_by == "del" {
            assert!(client.ask("CACHE.GETORLOCK page").is("LOCK", None));
            continue;
        }
        let info = client.run("CACHE.INFO page");
        assert!(info.field("last-failure").is_nil() && info.field("backoff-ms").number() == 0, "{info:?}");
        client.run("CACHE.INVALIDATE page");
        assert!(client.ask("CACHE.GETORLOCK page").is("REFRESH", Some("html")), "{ends_by}");
    }
}
