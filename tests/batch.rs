//! Many keys in one call, and the list of leases.

use crate::harness::{eventually, Client, Reply, Server, Triple};

fn ask_many(client: &mut Client, line: &str) -> Vec<Triple> {
    client.run(line).list().iter().map(Reply::triple).collect()
}

/// The keys that CACHE.LEASES shows, in its order.
fn leased(client: &mut Client, options: &str) -> Vec<String> {
    let leases = client.run(&format!("CACHE.LEASES {options}"));
    leases.list().iter().map(|lease| lease.field("key").text()).collect()
}

#[test]
fn each_key_is_decided_on_its_own() {
    let server = Server::start();
    let (mut client, mut other) = (server.client(), server.client());
    client.run("CACHE.SET fresh html PX 60000");
    client.run("CACHE.SET stale old PX 20 SWR 600000");
    client.until("CACHE.GET stale", "STALE");
    client.run("SET string text");
    other.ask("CACHE.GETORLOCK taken LEASE 60000");
    let token = other.ask("CACHE.GETORLOCK personal").token();
    other.run(&format!("CACHE.PASS personal {token} PX 60000"));
    let token = other.ask("CACHE.GETORLOCK broken").token();
    other.run(&format!("CACHE.FAIL broken {token} down BACKOFF 60000"));

    let keys = "fresh stale string taken personal broken missing";
    let answers = ask_many(&mut client, &format!("CACHE.MGETORLOCK 7 {keys} LEASE 5000"));
    let expected = [
        ("HIT", Some("html"), 1..=60_000),
        ("REFRESH", Some("old"), 1..=i64::MAX),
        ("HIT", Some("text"), -1..=-1),
        ("WAIT", None, 1..=60_000),
        ("PASS", None, 1..=60_000),
        ("FAIL", Some("down"), 1..=60_000),
        ("LOCK", None, 1..=i64::MAX),
    ];
    assert_eq!(answers.len(), expected.len());
    for (answer, (state, value, number)) in answers.iter().zip(expected) {
        assert!(answer.is(state, value) && number.contains(&answer.number), "{answer:?}");
    }
    let again = ask_many(&mut other, "cache.mgetorlock 2 stale missing");
    assert!(again[0].is("STALE", Some("old")) && again[1].is("WAIT", None), "{again:?}");
    assert!(again.iter().all(|answer| (1..=5000).contains(&answer.number)), "{again:?}");
}

#[test]
fn each_key_is_leased_and_fenced_on_its_own() {
    let server = Server::start();
    let mut client = server.client();
    let tokens: Vec<i64> = ask_many(&mut client, "CACHE.MGETORLOCK 3 a b c").iter().map(Triple::token).collect();
    assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "{tokens:?}");
    let mut waiters = server.clients(3);
    for (waiter, key) in waiters.iter_mut().zip(["a", "b", "c"]) {
        server.park(waiter, &format!("CACHE.GETORLOCK {key} BLOCK 0"));
    }
    assert!(client.run(&format!("CACHE.FILL a {} wrong", tokens[1])).is_nil(), "that is b's token");
    assert!(client.run(&format!("CACHE.FILL a {} value", tokens[0])).is_ok());
    assert!(waiters[0].read().triple().is("HIT", Some("value")));
    assert_eq!(client.run(&format!("CACHE.RELEASE b {}", tokens[1])).number(), 1);
    assert!(waiters[1].read().triple().is("LOCK", None));
    client.run(&format!("CACHE.FAIL c {} down", tokens[2]));
    assert!(waiters[2].read().triple().is("FAIL", Some("down")));
}

#[test]
fn a_key_named_twice_is_granted_once() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET fresh html");
    let answers = ask_many(&mut client, "CACHE.MGETORLOCK 5 page fresh page fresh page FORCE");
    let states: Vec<&str> = answers.iter().map(|answer| answer.state.as_str()).collect();
    assert_eq!(states, ["LOCK", "REFRESH", "WAIT", "HIT", "WAIT"]);
    assert_eq!(server.info("corral_live_leases"), 2);
}

#[test]
fn options_are_for_every_key_and_it_never_blocks() {
    let server = Server::start();
    let mut client = server.client();
    for key in ["a", "b"] {
        client.run(&format!("CACHE.SET {key} old PX 20 SWR 600000"));
        client.until(&format!("CACHE.GET {key}"), "STALE");
    }
    let mut holder = server.client();
    let locks = ask_many(&mut holder, "CACHE.MGETORLOCK 2 a b NOSTALE TIED LEASE 60000");
    assert!(locks.iter().all(|answer| answer.is("LOCK", None)), "{locks:?}");
    let waits = ask_many(&mut client, "CACHE.MGETORLOCK 2 a b NOSTALE");
    assert!(waits.iter().all(|answer| answer.is("WAIT", None)), "{waits:?}");
    assert!(client.run("CACHE.MGETORLOCK 2 a b BLOCK 0").error().starts_with("ERR "));
    // Both leases are tied to the one connection.
    holder.hang_up();
    for key in ["a", "b"] {
        client.until(&format!("CACHE.GETORLOCK {key}"), "REFRESH");
    }
}

#[test]
fn a_foreign_type_refuses_the_whole_call_and_nothing_is_leased() {
    let server = Server::start();
    let mut client = server.client();
    client.run("RPUSH list element");
    client.run("CACHE.SET fresh html");
    for keys in ["missing list fresh", "list missing fresh", "missing fresh list"] {
        let refused = client.run(&format!("CACHE.MGETORLOCK 3 {keys} FORCE"));
        assert!(refused.error().starts_with("WRONGTYPE "), "{refused:?}");
    }
    assert_eq!(client.run("EXISTS missing").number(), 0);
    assert_eq!(leased(&mut client, ""), [""; 0]);
    assert_eq!(server.info("corral_leases_granted"), 0);
}

#[test]
fn a_count_that_does_not_match_the_keys_is_refused_and_nothing_is_leased() {
    let server = Server::start();
    let mut client = server.client();
    let calls =
        ["3 a b", "1 a b", "0 a", "-1 a", "x a", "99999999999999999999 a", "2 a", "1 a LEASE", "2 a b TIED TIED"];
    for call in calls {
        let refused = client.run(&format!("CACHE.MGETORLOCK {call}"));
        assert!(refused.error().starts_with("ERR "), "{call}: {refused:?}");
    }
    assert_eq!(client.run("DBSIZE").number(), 0);
    let keys = client.run("COMMAND GETKEYS CACHE.MGETORLOCK 2 a b NOSTALE");
    assert_eq!(keys.list().iter().map(Reply::text).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_thousand_keys_are_asked_for_at_once() {
    let server = Server::start();
    let mut client = server.client();
    let keys: Vec<String> = (0..1000).map(|key| format!("key{key}")).collect();
    let line = format!("CACHE.MGETORLOCK 1000 {}", keys.join(" "));
    let tokens: Vec<i64> = ask_many(&mut client, &line).iter().map(Triple::token).collect();
    for (key, token) in keys.iter().zip(&tokens) {
        assert!(client.run(&format!("CACHE.FILL {key} {token} {key}")).is_ok());
    }
    let answers = ask_many(&mut client, &line);
    assert!(keys.iter().zip(&answers).all(|(key, answer)| answer.is("HIT", Some(key))));
}

#[test]
fn leases_shows_the_longest_held_first_with_holder_and_waiters() {
    let server = Server::start();
    let (mut first, mut second, mut waiter) = (server.client(), server.client(), server.client());
    first.run("CLIENT SETNAME builder");
    let token = first.ask("CACHE.GETORLOCK slow LEASE 60000").token();
    eventually("a lease is 50 ms old", || !leased(&mut first, "MINAGE 50").is_empty());
    second.run("SELECT 3");
    second.ask("CACHE.GETORLOCK quick LEASE 1000");
    server.park(&mut waiter, "CACHE.GETORLOCK slow BLOCK 0");

    let leases = first.run("CACHE.LEASES");
    let [slow, quick] = leases.list() else { panic!("not two leases: {leases:?}") };
    assert_eq!((slow.field("key").text(), slow.field("db").number()), ("slow".to_owned(), 0));
    assert_eq!(slow.field("token").number(), token);
    assert!(slow.field("age-ms").number() >= 50, "{slow:?}");
    assert!((1..=60_000).contains(&slow.field("left-ms").number()), "{slow:?}");
    assert_eq!(slow.field("waiters").number(), 1);
    let id = first.id();
    assert_eq!(slow.field("holder").field("id").number(), id);
    assert_eq!(slow.field("holder").field("name").text(), "builder");
    assert!(slow.field("holder").field("addr").text().starts_with("127.0.0.1:"));
    assert_eq!((quick.field("key").text(), quick.field("db").number()), ("quick".to_owned(), 3));
    assert_eq!(quick.field("waiters").number(), 0);

    assert_eq!(leased(&mut first, "COUNT 1"), ["slow"]);
    assert_eq!(leased(&mut first, "count 10 minage 0"), ["slow", "quick"]);
    assert_eq!(leased(&mut first, "MINAGE 600000"), [""; 0]);
    assert_eq!(leased(&mut first, "MINAGE 50 COUNT 1"), ["slow"]);
    for call in ["COUNT", "COUNT x", "MINAGE -1", "COUNT 1 COUNT 1", "slow"] {
        let refused = first.run(&format!("CACHE.LEASES {call}"));
        assert!(refused.error().starts_with("ERR "), "{call}: {refused:?}");
    }
}

#[test]
fn leases_come_in_the_order_of_their_grants() {
    let server = Server::start();
    let mut client = server.client();
    let keys: Vec<String> = (0..20).map(|key| format!("key{}", key * 7 % 20)).collect();
    for key in &keys {
        client.ask(&format!("CACHE.GETORLOCK {key} LEASE 60000"));
    }
    assert_eq!(leased(&mut client, ""), keys);
    assert_eq!(leased(&mut client, "COUNT 5"), keys[..5]);
}

#[test]
fn a_lease_that_ended_is_not_shown() {
    let server = Server::start();
    let mut client = server.client();
    let ways = [
        "CACHE.FILL page <token> html",
        "CACHE.FAIL page <token> down",
        "CACHE.PASS page <token>",
        "CACHE.RELEASE page <token>",
        "CACHE.INVALIDATE page",
        "CACHE.SET page html",
        "SET page text",
        "DEL page",
        "RENAME page elsewhere",
        "FLUSHALL",
        "time",
    ];
    for way in ways {
        client.run("FLUSHALL");
        let lease_ms = if way == "time" { 50 } else { 60_000 };
        let token = client.ask(&format!("CACHE.GETORLOCK page LEASE {lease_ms}")).token().to_string();
        if way == "time" {
            eventually("the lease has run out", || client.ask("CACHE.GET page").number == 0);
        } else {
            assert_eq!(leased(&mut client, ""), ["page"]);
            client.run(&way.replace("<token>", &token));
        }
        assert_eq!(leased(&mut client, ""), [""; 0], "{way}");
        // A lease whose time has run out is struck off by the scheduler, a moment later.
        eventually("no lease is counted", || server.info("corral_live_leases") == 0);
    }
}

#[test]
fn leases_name_the_holder_or_say_that_it_is_gone() {
    let server = Server::start();
    let (mut client, mut holder) = (server.client(), server.client());
    assert!(holder.run("CLIENT SETNAME builder").is_ok());
    holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    let id = holder.id();
    let leases = client.run("CACHE.LEASES");
    let known = leases.list()[0].field("holder");
    assert_eq!((known.field("id").number(), known.field("name").text().as_str()), (id, "builder"));
    assert!(known.field("addr").text().starts_with("127.0.0.1:"));
    holder.hang_up();
    crate::harness::eventually("it is gone", || {
        client.run("CACHE.LEASES").list()[0].field("holder") == &Reply::Text(b"gone".to_vec())
    });
    assert_eq!(client.run("CACHE.INFO page").field("lease").field("holder").text(), "gone");
}

#[test]
fn top_shows_the_keys_that_cost_most() {
    let server = Server::start();
    let mut client = server.client();
    let mut waiters = server.clients(3);
    for (key, count) in [("dear", 5), ("cheap", 1)] {
        for _ in 0..count {
            let token = client.ask(&format!("CACHE.GETORLOCK {key} FORCE LEASE 60000")).token();
            assert!(client.run(&format!("CACHE.FILL {key} {token} html")).is_ok());
        }
    }
    let token = client.ask("CACHE.GETORLOCK awaited LEASE 60000").token();
    server.park_all(&mut waiters, "CACHE.GETORLOCK awaited BLOCK 0");
    assert!(client.run(&format!("CACHE.FILL awaited {token} html")).is_ok());
    waiters.iter_mut().for_each(|waiter| assert!(waiter.read().triple().is("HIT", Some("html"))));
    let key = |reply: &Reply, at: usize| reply.list()[at].field("key").text();
    let by_grants = client.run("CACHE.TOP BY grants");
    assert_eq!((key(&by_grants, 0).as_str(), by_grants.list()[0].field("grants").number()), ("dear", 5));
    assert_eq!(by_grants.list().len(), 3);
    let by_saved = client.run("CACHE.TOP COUNT 1 BY saved");
    assert_eq!(by_saved.list().len(), 1);
    assert_eq!((key(&by_saved, 0).as_str(), by_saved.list()[0].field("saved").number()), ("awaited", 3));
    assert_eq!(by_saved.list()[0].field("db").number(), 0);
    assert!(client.run("CONFIG RESETSTAT").is_ok());
    crate::harness::eventually("it begins anew", || client.run("CACHE.TOP").list().is_empty());
}
