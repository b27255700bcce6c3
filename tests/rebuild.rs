//! Miss, lease, wait, fill, wake: the main job.

use crate::harness::{eventually, now_ms, Reply, Server};

#[test]
fn one_client_rebuilds_while_the_others_are_parked_and_all_get_the_value() {
    let server = Server::start();
    let mut holder = server.client();
    let lock = holder.ask("CACHE.GETORLOCK page");
    assert!(lock.is("LOCK", None), "{lock:?}");

    let mut waiters = server.clients(10);
    server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    assert!(waiters.iter().all(|waiter| !waiter.has_reply()));

    assert!(holder.run(&format!("CACHE.FILL page {} html PX 60000", lock.token())).is_ok());
    for waiter in &mut waiters {
        let hit = waiter.read().triple();
        assert!(hit.is("HIT", Some("html")) && (59_000..=60_000).contains(&hit.number), "{hit:?}");
    }
    assert!(holder.ask("CACHE.GETORLOCK page").is("HIT", Some("html")));
    assert!(holder.ask("CACHE.GET page").is("HIT", Some("html")));
}

#[test]
fn without_block_a_caller_is_told_how_long_the_other_has_left() {
    let server = Server::start();
    let mut client = server.client();
    client.ask("CACHE.GETORLOCK page LEASE 5000");
    let wait = client.ask("CACHE.GETORLOCK page");
    assert!(wait.is("WAIT", None) && (1..=5000).contains(&wait.number), "{wait:?}");
    let miss = client.ask("CACHE.GET page");
    assert!(miss.is("MISS", None) && (1..=5000).contains(&miss.number), "{miss:?}");
}

#[test]
fn a_line_that_is_typed_grants_the_key_that_it_names() {
    let server = Server::start();
    let mut client = server.client();
    for name in ["k", "a-name-of-thirty-bytes-or-about", &"a-name-beyond-a-small-string:".repeat(40)] {
        // As telnet sends it: the server keeps such arguments with room to spare, and trims them when it can.
        client.send_raw(format!("CACHE.GETORLOCK {name} LEASE 60000 BLOCK 0 TIED\r\n").as_bytes());
        let token = client.read().triple().token();
        let lease = client.run("CACHE.LEASES COUNT 1").list()[0].clone();
        assert_eq!(lease.field("key").text(), name, "{lease:?}");
        client.send_raw(format!("CACHE.RELEASE {name} {token}\r\n").as_bytes());
        assert_eq!(client.read(), Reply::Number(1));
    }
}

#[test]
fn a_missing_key_is_a_miss_and_a_get_grants_nothing() {
    let server = Server::start();
    let mut client = server.client();
    for _ in 0..2 {
        let miss = client.ask("CACHE.GET page");
        assert!(miss.is("MISS", None) && miss.number == 0, "{miss:?}");
    }
    assert_eq!(client.run("EXISTS page").number(), 0);
    assert!(client.ask("CACHE.GETORLOCK page").is("LOCK", None));
}

#[test]
fn a_value_without_a_soft_deadline_is_fresh_for_ever() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.ask("CACHE.GETORLOCK page").token();
    assert!(client.run(&format!("CACHE.FILL page {token} html")).is_ok());
    let hit = client.ask("CACHE.GETORLOCK page");
    assert!(hit.is("HIT", Some("html")) && hit.number == -1, "{hit:?}");
    assert_eq!(client.run("PTTL page").number(), -1);
}

#[test]
fn the_four_ways_to_say_when_it_turns_stale_agree() {
    let server = Server::start();
    let mut client = server.client();
    let at_ms = now_ms() + 100_000;
    let options =
        ["EX 100".to_owned(), "px 100000".to_owned(), format!("exat {}", at_ms / 1000), format!("PXAT {at_ms}")];
    for option in options {
        assert!(client.run(&format!("CACHE.SET page html {option}")).is_ok());
        let hit = client.ask("CACHE.GET page");
        assert!((95_000..=100_000).contains(&hit.number), "{option}: {hit:?}");
        assert!((95_000..=100_000).contains(&client.run("PTTL page").number()), "{option}");
    }
}

#[test]
fn windows_keep_the_key_beyond_its_soft_deadline() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html PX 100000 SWR 5000 SIE 20000");
    let ttl = client.run("PTTL page").number();
    assert!((115_000..=120_000).contains(&ttl), "{ttl}");
}

#[test]
fn a_soft_deadline_already_past_keeps_nothing_but_the_waiters_have_the_value() {
    let server = Server::start();
    let (mut holder, mut waiter) = (server.client(), server.client());
    let token = holder.ask("CACHE.GETORLOCK page").token();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    assert!(holder.run(&format!("CACHE.FILL page {token} html PXAT 1")).is_ok());
    assert!(waiter.read().triple().is("HIT", Some("html")));
    assert_eq!(holder.run("EXISTS page").number(), 0);
}

#[test]
fn set_stores_over_any_type_voids_the_lease_and_wakes_the_waiters() {
    let server = Server::start();
    let (mut holder, mut waiter, mut other) = (server.client(), server.client(), server.client());
    let token = holder.ask("CACHE.GETORLOCK page").token();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    assert!(other.run("CACHE.SET page warm PX 60000").is_ok());
    assert!(waiter.read().triple().is("HIT", Some("warm")));
    assert!(holder.run(&format!("CACHE.FILL page {token} late")).is_nil());
    assert!(other.ask("CACHE.GET page").is("HIT", Some("warm")));

    other.run("RPUSH list a b");
    assert!(other.run("CACHE.SET list now-a-value").is_ok());
    assert!(other.ask("CACHE.GETORLOCK list").is("HIT", Some("now-a-value")));
}

#[test]
fn ordinary_strings_answer_hit_with_their_own_time_to_live_and_stay_as_they_are() {
    let server = Server::start();
    let mut client = server.client();
    client.run("SET plain text");
    client.run("SET number 12345");
    client.run("SET short-lived text PX 60000");
    for command in ["CACHE.GETORLOCK", "CACHE.GET"] {
        let hit = client.ask(&format!("{command} plain"));
        assert!(hit.is("HIT", Some("text")) && hit.number == -1, "{hit:?}");
        assert!(client.ask(&format!("{command} number")).is("HIT", Some("12345")));
        let hit = client.ask(&format!("{command} short-lived"));
        assert!((1..=60_000).contains(&hit.number), "{hit:?}");
    }
    assert_eq!(client.run("OBJECT ENCODING number").text(), "int");
    assert_eq!(client.run("OBJECT ENCODING plain").text(), "embstr");
}

#[test]
fn keys_and_values_are_any_bytes() {
    let server = Server::start();
    let mut client = server.client();
    let odd: [&[u8]; 5] = [b"", b"%s%n\0\r\n", b"\xff\xfe", b"nil", &[0; 300]];
    for key in odd {
        for value in odd {
            let token = client.call(&[b"CACHE.GETORLOCK", key]).triple().token().to_string();
            assert!(client.call(&[b"CACHE.FILL", key, token.as_bytes(), value]).is_ok());
            let hit = client.call(&[b"CACHE.GETORLOCK", key]).triple();
            assert_eq!((hit.state.as_str(), hit.value.as_deref()), ("HIT", Some(value)));
            client.call(&[b"DEL", key]);
        }
    }
}

#[test]
fn force_takes_the_lease_of_a_fresh_value_and_everybody_else_keeps_getting_hits() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page old PX 60000");
    let refresh = client.ask("CACHE.GETORLOCK page FORCE");
    assert!(refresh.is("REFRESH", Some("old")), "{refresh:?}");
    assert!(client.ask("CACHE.GETORLOCK page").is("HIT", Some("old")));
    assert!(client.ask("CACHE.GETORLOCK page FORCE").is("HIT", Some("old")), "a lease is out");
    assert!(client.run(&format!("CACHE.FILL page {} new", refresh.token())).is_ok());
    assert!(client.ask("CACHE.GET page").is("HIT", Some("new")));
}

#[test]
fn renew_moves_the_deadline_but_never_past_the_longest_lease() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.ask("CACHE.GETORLOCK page LEASE 1000").token();
    let left = client.run(&format!("CACHE.RENEW page {token} 50000")).number();
    assert!((49_000..=50_000).contains(&left), "{left}");
    client.run("CONFIG SET corral.lease-max-ms 60000");
    let left = client.run(&format!("CACHE.RENEW page {token} 9000000")).number();
    assert!((50_000..=60_000).contains(&left), "{left}");
    assert!(client.run("CACHE.RENEW page 12345 1000").is_nil());
    assert!(client.run("CACHE.RENEW nothing 12345 1000").is_nil());
}

#[test]
fn tokens_grow_and_stay_below_two_to_the_53() {
    let server = Server::start();
    let mut client = server.client();
    let mut last = 0;
    for turn in 0..50 {
        let token = client.ask(&format!("CACHE.GETORLOCK key{}", turn % 3)).token();
        assert!(token > last && token < 1 << 53, "{token} after {last}");
        last = token;
        client.run(&format!("CACHE.RELEASE key{} {token}", turn % 3));
    }
}

#[test]
fn info_describes_the_key_and_its_holder() {
    let server = Server::start();
    let (mut holder, mut waiter) = (server.client(), server.client());
    assert!(holder.run("CACHE.INFO page").is_nil());
    holder.run("CLIENT SETNAME builder");
    let token = holder.ask("CACHE.GETORLOCK page TIED LEASE 5000").token();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");

    let info = holder.run("CACHE.INFO page");
    assert_eq!(info.field("state").text(), "MISS");
    assert_eq!(info.field("waiters").number(), 1);
    let lease = info.field("lease");
    assert_eq!(lease.field("token").number(), token);
    assert_eq!(lease.field("tied").number(), 1);
    assert!((1..=5000).contains(&lease.field("left-ms").number()));
    let id = holder.id();
    let shown = lease.field("holder");
    assert_eq!(shown.field("id").number(), id);
    assert_eq!(shown.field("name").text(), "builder");
    assert!(shown.field("addr").text().starts_with("127.0.0.1:"));

    holder.run(&format!("CACHE.FILL page {token} html PX 60000 SWR 7 SIE 9"));
    let info = holder.run("CACHE.INFO page");
    assert_eq!(info.field("state").text(), "HIT");
    assert_eq!(info.field("value-bytes").number(), 4);
    assert!((59_000..=60_000).contains(&info.field("fresh-ms").number()));
    assert_eq!((info.field("swr-ms").number(), info.field("sie-ms").number()), (7, 9));
    assert_eq!(info.field("fills").number(), 1);
    assert_eq!(*info.field("lease"), Reply::Nil);
    assert_eq!(info.field("waiters").number(), 0);
}

#[test]
fn keyspace_events_tell_clients_on_shared_connections() {
    let server = Server::with(&["--notify-keyspace-events", "Kd"]);
    let (mut client, mut listener) = (server.client(), server.client());
    listener.run("SUBSCRIBE __keyspace@0__:page");
    let token = client.ask("CACHE.GETORLOCK page").token();
    assert_eq!(listener.read().list()[2].text(), "cache.lock");
    client.run(&format!("CACHE.FILL page {token} html"));
    assert_eq!(listener.read().list()[2].text(), "cache.fill");
    client.run("CACHE.INVALIDATE page");
    assert_eq!(listener.read().list()[2].text(), "cache.invalidate");
    eventually("no waiters are left", || server.info("corral_waiters") == 0);
}

/// Not from where the transaction began.
#[test]
fn a_lease_taken_late_in_a_transaction_counts_from_its_grant() {
    let server = Server::start();
    let mut client = server.client();
    for line in ["MULTI", "DEBUG SLEEP 2", "CACHE.GETORLOCK page LEASE 60000", "CACHE.INFO page"] {
        client.run(line);
    }
    let replies = client.run("EXEC");
    let [_, granted, info] = replies.list() else { panic!("{replies:?}") };
    let lease = info.field("lease");
    assert_eq!(lease.field("token").number(), granted.triple().token());
    assert!(lease.field("age-ms").number() < 2000, "{info:?}");
    assert!(lease.field("left-ms").number() > 58_000, "{info:?}");
}
