//! The wire: both protocols, pipelines, and what a parked client sends meanwhile.

use crate::harness::{eventually, Reply, Server};

#[test]
fn in_resp3_the_triples_are_the_same_and_info_is_a_map() {
    let server = Server::start();
    let (mut client, mut waiter) = (server.client(), server.client());
    for client in [&mut client, &mut waiter] {
        assert!(matches!(client.run("HELLO 3"), Reply::Map(_)));
    }
    assert!(client.ask("CACHE.GET page").is("MISS", None));
    let lock = client.ask("CACHE.GETORLOCK page");
    assert!(lock.is("LOCK", None));
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    let Reply::Map(fields) = client.run("CACHE.INFO page") else { panic!("no map") };
    let names: Vec<String> = fields.iter().map(|(name, _)| name.text()).collect();
    let wanted = [
        "state",
        "value-bytes",
        "fresh-ms",
        "swr-ms",
        "sie-ms",
        "build-ms",
        "fills",
        "tags",
        "version",
        "floor",
        "group",
        "lease",
        "waiters",
        "listeners",
        "last-failure",
        "failures-in-a-row",
        "backoff-ms",
    ];
    assert_eq!(names, wanted);
    assert!(client.run(&format!("CACHE.FILL page {} html PX 60000", lock.token())).is_ok());
    assert!(waiter.read().triple().is("HIT", Some("html")));
    assert!(client.run(&format!("CACHE.FILL page {} html", lock.token())).is_nil());
    assert!(client.run("CACHE.INFO nothing").is_nil());
    assert!(client.run("CACHE.MGETORLOCK 1 page").list()[0].triple().is("HIT", Some("html")));
}

#[test]
fn what_a_parked_client_sends_meanwhile_runs_after_its_answer_in_its_order() {
    let server = Server::start();
    let (mut holder, mut client) = (server.client(), server.client());
    let tokens = ["a", "b"].map(|key| holder.ask(&format!("CACHE.GETORLOCK {key} LEASE 60000")).token());
    client.send_together(&[
        "CACHE.GETORLOCK a BLOCK 0",
        "CACHE.GET a",
        "CACHE.GETORLOCK b BLOCK 0",
        "PING",
        "CACHE.GETORLOCK a",
    ]);
    eventually("it is parked on a", || server.waiters("a") == 1);
    assert!(!client.has_reply());
    assert_eq!(server.waiters("b"), 0);
    holder.run(&format!("CACHE.FILL a {} first", tokens[0]));
    assert!(client.read().triple().is("HIT", Some("first")));
    assert!(client.read().triple().is("HIT", Some("first")));
    eventually("it is parked on b", || server.waiters("b") == 1);
    assert!(!client.has_reply());
    holder.run(&format!("CACHE.FILL b {} second", tokens[1]));
    assert!(client.read().triple().is("HIT", Some("second")));
    assert_eq!(client.read().text(), "PONG");
    assert!(client.read().triple().is("HIT", Some("first")));
}

#[test]
fn one_connection_can_rebuild_ten_thousand_keys_in_one_pipeline() {
    const KEYS: usize = 10_000;
    let server = Server::start();
    let mut client = server.client();
    let mut tokens = Vec::new();
    for chunk in (0..KEYS).collect::<Vec<_>>().chunks(500) {
        let lines: Vec<String> = chunk.iter().map(|key| format!("CACHE.GETORLOCK page{key}")).collect();
        client.send_together(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        tokens.extend(chunk.iter().map(|_| client.read().triple().token()));
    }
    assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "tokens grow");
    for chunk in (0..KEYS).collect::<Vec<_>>().chunks(500) {
        let lines: Vec<String> =
            chunk.iter().map(|key| format!("CACHE.FILL page{key} {} value PX 60000", tokens[*key])).collect();
        client.send_together(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(chunk.iter().all(|_| client.read().is_ok()));
    }
    assert_eq!(client.run("DBSIZE").number(), KEYS as i64);
    assert_eq!(server.info("corral_live_leases"), 0);
}

#[test]
fn a_client_that_wants_no_replies_is_parked_and_woken_without_one() {
    let server = Server::start();
    let (mut holder, mut client) = (server.client(), server.client());
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    client.send("CLIENT REPLY OFF");
    server.park(&mut client, "CACHE.GETORLOCK page BLOCK 0");
    assert!(holder.run(&format!("CACHE.FILL page {token} html")).is_ok());
    eventually("it is woken", || server.info("blocked_clients") == 0);
    assert!(client.run("CLIENT REPLY ON").is_ok(), "the first reply there is");
}

#[test]
fn a_large_value_reaches_every_waiter_whole() {
    const WAITERS: usize = 50;
    let server = Server::start();
    let mut holder = server.client();
    let mut waiters = server.clients(WAITERS);
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    let value: Vec<u8> = (0..4 << 20).map(|index: u32| (index % 251) as u8).collect();
    assert!(holder.call(&[b"CACHE.FILL", b"page", token.to_string().as_bytes(), &value]).is_ok());
    for waiter in &mut waiters {
        let hit = waiter.read().triple();
        assert!(hit.state == "HIT" && hit.value.as_deref() == Some(&value));
    }
}
