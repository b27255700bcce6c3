//! Payloads that somebody made: RESTORE takes nothing that no call could have made, a refused one changes nothing, and
//! clocks that differ a little refuse nothing.

use crate::harness::payload::{dump, forged, restore, sealed, wide, FOOTER, WIDE};
use crate::harness::{eventually, picture, Client, Clock, Reply, Server};

const LAST_NUMBER: i64 = (1 << 53) - 1;
const HOUR_US: i64 = 3_600_000_000;
const YEAR_US: i64 = 365 * 24 * HOUR_US;

/// Headers are searched for and changed: they must not be compressed.
fn start() -> Server {
    Server::with(&["--save", "", "--appendonly", "no", "--rdbcompression", "no"])
}

/// What nobody can have changed: what is listed, what is stored, and the next token.
fn assert_nothing_came_of_it(server: &Server, client: &mut Client, what: &str) {
    assert_eq!(client.run("CACHE.LEASES").list().len(), 0, "{what}");
    assert_eq!((client.run("DBSIZE").number(), server.info("corral_live_leases")), (0, 0), "{what}");
    let next = client.ask("CACHE.GETORLOCK next").token();
    let now_us = i64::try_from(crate::harness::now_ms()).unwrap() * 1000;
    assert!(next <= now_us + 1_000_000, "{what}: {next} is ahead of {now_us}");
    assert!(client.run("FLUSHALL").is_ok());
}

#[test]
fn a_grant_from_the_far_future_allows_no_longer_lease() {
    let server = start();
    let mut client = server.client();
    let token = client.ask("CACHE.GETORLOCK page LEASE 60000").token();
    let payload = dump(&mut client, "page");
    // The grant's moment stands behind the token, and behind it the deadline.
    let granted = forged(&payload, &wide(token), WIDE, LAST_NUMBER);
    assert!(restore(&mut client, "page", &granted).is_ok());
    for _ in 0..2 {
        let left = client.run(&format!("CACHE.RENEW page {token} 300000")).number();
        assert!((1..=300_000).contains(&left), "{left}");
    }
    let deadline = forged(&payload, &wide(token), 2 * WIDE, LAST_NUMBER);
    let refused = restore(&mut client, "endless", &deadline);
    assert!(matches!(refused, Reply::Error(_)), "{refused:?}");
    assert!(client.ask("CACHE.GET endless").is("MISS", None));
}

#[test]
fn a_back_off_without_end_is_refused() {
    let server = start();
    let mut client = server.client();
    let token = client.ask("CACHE.GETORLOCK page").token();
    client.run(&format!("CACHE.FAIL page {token} database-down BACKOFF 60000"));
    let payload = dump(&mut client, "page");
    client.run("FLUSHALL");
    let refused = restore(&mut client, "page", &forged(&payload, b"database-down", 13, LAST_NUMBER));
    assert!(matches!(refused, Reply::Error(_)), "{refused:?}");
    assert_nothing_came_of_it(&server, &mut client, "the back-off");
    assert!(server.log().contains("a back-off longer than"), "{}", server.log());
}

#[test]
fn a_token_a_year_ahead_is_refused_wherever_it_stands() {
    let server = start();
    let mut client = server.client();
    for (what, lines) in [
        ("lease", ["CACHE.GETORLOCK page LEASE 60000", "PING"]),
        ("birth", ["CACHE.SET page html TAGS 1 shop", "PING"]),
        ("floor", ["CACHE.OUTDATE page 5 PX 60000", "PING"]),
        ("birth beside a lease", ["CACHE.SET page html TAGS 1 shop", "CACHE.GETORLOCK page FORCE LEASE 60000"]),
    ] {
        let before = client.ask("CACHE.GETORLOCK before").token();
        client.run("DEL before");
        lines.iter().for_each(|line| drop(client.run(line)));
        let after = client.ask("CACHE.GETORLOCK after").token();
        let payload = dump(&mut client, "page");
        client.run("FLUSHALL");
        let mut places = 0;
        for place in 0..payload.len() - FOOTER - WIDE {
            let mut number = [0; 8];
            number[..WIDE].copy_from_slice(&payload[place..place + WIDE]);
            let number = i64::from_le_bytes(number);
            if (before + 1..after).contains(&number) {
                places += 1;
                let mut payload = payload.clone();
                payload[place..place + WIDE].copy_from_slice(&wide(number + YEAR_US));
                let refused = restore(&mut client, "page", &sealed(payload));
                assert!(matches!(refused, Reply::Error(_)), "{what}: {refused:?}");
                assert_nothing_came_of_it(&server, &mut client, what);
            }
        }
        assert!(places > 0, "{what}: no token was found");
    }
}

#[test]
fn a_payload_that_is_refused_at_its_very_end_changes_nothing() {
    let server = start();
    let mut client = server.client();
    let token = client.ask("CACHE.GETORLOCK page LEASE 200000").token();
    let ahead = forged(&dump(&mut client, "page"), &wide(token), 0, token + HOUR_US);
    client.run("FLUSHALL");
    // The mark of the end of a module's value: read after the module has read all of it.
    let mut torn = ahead.clone();
    let end = torn.len() - FOOTER - 1;
    assert_eq!(torn[end], 0);
    torn[end] = 2;
    let torn = sealed(torn);
    let refused = restore(&mut client, "page", &torn);
    assert!(matches!(refused, Reply::Error(_)), "{refused:?}");
    assert_nothing_came_of_it(&server, &mut client, "the torn payload");

    // Over a key with a lease, too: it goes on as it was. Also where the server refuses by itself.
    let (mut holder, mut waiter) = (server.client(), server.client());
    let token = holder.ask("CACHE.GETORLOCK page LEASE 200000").token();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    assert!(matches!(restore(&mut client, "page", &torn), Reply::Error(_)));
    let busy = client.call(&[b"RESTORE", b"page", b"0", &ahead]);
    assert!(busy.error().starts_with("BUSYKEY "), "{busy:?}");
    let leases = client.run("CACHE.LEASES");
    assert_eq!(leases.list().len(), 1);
    assert_eq!(leases.list()[0].field("token").number(), token);
    assert!(client.ask("CACHE.GETORLOCK other").token() < token + HOUR_US);
    assert!(holder.run(&format!("CACHE.FILL page {token} html")).is_ok());
    assert!(waiter.read().triple().is("HIT", Some("html")));
}

#[test]
fn a_lease_that_a_payload_brings_over_another_is_listed() {
    let server = start();
    let (mut client, mut waiter) = (server.client(), server.client());
    for with in ["another", "its own"] {
        let other = client.ask("CACHE.GETORLOCK page LEASE 200000").token();
        let payload = dump(&mut client, "page");
        let brought = match with {
            "another" => {
                client.run("DEL page");
                client.ask("CACHE.GETORLOCK page LEASE 100000").token();
                other
            }
            _ => other,
        };
        assert!(restore(&mut client, "page", &payload).is_ok());
        eventually("it is listed", || {
            let leases = client.run("CACHE.LEASES");
            leases.list().len() == 1 && leases.list()[0].field("token").number() == brought
        });
        assert_eq!(server.info("corral_live_leases"), 1, "{with}");
        server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
        assert!(client.run(&format!("CACHE.FILL page {brought} html")).is_ok(), "{with}");
        assert!(waiter.read().triple().is("HIT", Some("html")), "{with}");
        assert_eq!(client.run("CACHE.LEASES").list().len(), 0, "{with}");
        client.run("DEL page");
    }
}

#[test]
fn a_replica_whose_clock_is_behind_takes_all_that_its_master_sends() {
    let Some(clock) = Clock::ahead_by(5) else { return };
    let ahead = Server::with_clock(&clock);
    let mut client = ahead.client();
    let furnish = |client: &mut Client, round: &str| {
        client.run(&format!("CONFIG SET corral.lease-max-ms {}", 86_400_000));
        client.ask(&format!("CACHE.GETORLOCK held{round} LEASE 86400000")).token();
        let token = client.ask(&format!("CACHE.GETORLOCK failed{round}")).token();
        client.run(&format!("CACHE.FAIL failed{round} {token} down BACKOFF 86400000"));
        client.run(&format!("CACHE.SET tagged{round} html PX 3600000 TAGS 1 shop VERSION 3"));
        client.run(&format!("CACHE.OUTDATE floor{round} 7 PX 3600000"));
        client.run("CACHE.INVALIDATETAG 1 other");
    };
    furnish(&mut client, "-by-sync");
    let (replica, node) = (Server::start(), Server::start());
    assert!(replica.client().run(&format!("REPLICAOF 127.0.0.1 {}", ahead.port)).is_ok());
    replica.catch_up_with(&ahead);
    furnish(&mut client, "-by-link");
    // RESTORE travels as it was sent, and the grant is in the future of the replica's clock.
    client.ask("CACHE.GETORLOCK new LEASE 300000").token();
    for key in ["new", "held-by-link", "held-by-sync", "failed-by-link", "tagged-by-link"] {
        let payload = dump(&mut client, key);
        assert!(restore(&mut client, &format!("{key}-again"), &payload).is_ok(), "{key}");
    }
    replica.catch_up_with(&ahead);
    assert_eq!(picture(&mut replica.client()), picture(&mut client));
    for log in [replica.log(), ahead.log()] {
        assert!(!log.contains("Bad data format") && !log.contains("cannot be read"), "{log}");
    }
    for key in ["held-by-link", "failed-by-sync", "tagged-by-sync", "floor-by-link"] {
        let port = node.port.to_string();
        let moved = client.call(&[b"MIGRATE", b"127.0.0.1", port.as_bytes(), key.as_bytes(), b"0", b"20000"]);
        assert!(moved.is_ok(), "{key}: {moved:?}");
    }
    let mut there = node.client();
    assert!(there.ask("CACHE.GETORLOCK held-by-link").is("WAIT", None));
    assert!(there.ask("CACHE.GETORLOCK failed-by-sync").is("FAIL", Some("down")));
    assert!(there.ask("CACHE.GETORLOCK tagged-by-sync").is("HIT", Some("html")));
}

#[test]
fn a_tag_invalidates_what_a_node_with_a_clock_ahead_has_sent() {
    let Some(clock) = Clock::ahead_by(3600) else { return };
    let (ahead, here) = (Server::with_clock(&clock), Server::start());
    let (mut from, mut client) = (ahead.client(), here.client());
    from.run("CACHE.SET page old PX 36000000 TAGS 1 shop");
    from.run("CACHE.SET leased old PX 36000000 TAGS 1 shop");
    from.ask("CACHE.GETORLOCK leased FORCE LEASE 60000").token();
    for key in ["page", "leased"] {
        let payload = dump(&mut from, key);
        assert!(restore(&mut client, key, &payload).is_ok());
        assert!(client.ask(&format!("CACHE.GET {key}")).is("HIT", Some("old")));
    }
    assert!(client.run("CACHE.INVALIDATETAG 1 shop").is_ok());
    for key in ["page", "leased"] {
        assert_eq!(client.ask(&format!("CACHE.GET {key}")).state, "MISS", "{key}");
        assert!(client.ask(&format!("CACHE.GETORLOCK {key}")).is("LOCK", None), "{key}");
    }
}

#[test]
fn what_a_master_settles_of_a_payload_is_what_its_replica_and_its_aof_hold() {
    let options = ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--rdbcompression", "no"];
    let mut server = Server::with(&options);
    let replica = server.replica();
    let (mut client, mut source) = (server.client(), start());
    let mut from = source.client();
    assert!(client.run("CACHE.INVALIDATETAG 1 shop").is_ok());
    // Built after the mark by its own clock, and marked here within the last minute.
    from.run("CACHE.SET page old PX 3600000 SWR 3600000 TAGS 1 shop");
    let token = from.ask("CACHE.GETORLOCK granted LEASE 60000").token();
    let granted = forged(&dump(&mut from, "granted"), &wide(token), WIDE, LAST_NUMBER);
    assert!(restore(&mut client, "page", &dump(&mut from, "page")).is_ok());
    assert!(restore(&mut client, "granted", &granted).is_ok());
    assert!(client.ask("CACHE.GET page").is("STALE", Some("old")));
    eventually("both sides hold the same", || {
        replica.catch_up_with(&server);
        picture(&mut replica.client()) == picture(&mut client)
    });
    assert!(replica.client().ask("CACHE.GET page").is("STALE", Some("old")));
    let there = picture(&mut client);
    server.restart();
    assert_eq!(picture(&mut server.client()), there);
    assert!(source.is_alive());
}
