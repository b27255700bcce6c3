//! Entries under Redis's own commands: as for any key, except that a live lease does not travel.

use crate::harness::{eventually, now_ms, Client, Reply, Server, Stock};

/// A fresh value with its lease out, and the token.
fn forced(client: &mut Client) -> i64 {
    client.run("CACHE.SET page html PX 600000 SWR 5000");
    client.ask("CACHE.GETORLOCK page FORCE LEASE 60000").token()
}

#[test]
fn move_and_swapdb_carry_the_value_and_not_the_lease() {
    let server = Server::start();
    for command in ["MOVE page 1", "SWAPDB 0 1"] {
        let (mut client, mut other) = (server.client(), server.client());
        client.run("FLUSHALL");
        other.run("SELECT 1");
        let token = forced(&mut client);
        client.run(command);
        assert!(client.ask("CACHE.GET page").is("MISS", None));
        let hit = other.ask("CACHE.GET page");
        assert!(hit.is("HIT", Some("html")) && (500_000..=600_000).contains(&hit.number), "{command}: {hit:?}");
        for client in [&mut client, &mut other] {
            assert!(client.run(&format!("CACHE.FILL page {token} late")).is_nil(), "{command}");
        }
        assert!(other.ask("CACHE.GETORLOCK page FORCE").token() > token, "{command}");
    }
}

#[test]
fn those_who_waited_in_a_swapped_database_stay_with_their_holder() {
    let server = Server::start();
    let (mut holder, mut waiter) = (server.client(), server.client());
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    holder.run("SWAPDB 0 1");
    assert!(!waiter.has_reply());
    assert!(holder.run(&format!("CACHE.FILL page {token} html")).is_nil());
    assert!(waiter.read().triple().is("HIT", Some("html")));
}

#[test]
fn copy_keeps_the_times() {
    let server = Server::start();
    let mut client = server.client();
    forced(&mut client);
    assert_eq!(client.run("COPY page copy").number(), 1);
    let (ours, theirs) = (client.run("CACHE.INFO page"), client.run("CACHE.INFO copy"));
    for field in ["state", "value-bytes", "swr-ms", "sie-ms", "fills"] {
        assert_eq!(ours.field(field), theirs.field(field), "{field}");
    }
    assert!(theirs.field("lease").is_nil());
    assert_eq!(client.run("PEXPIRETIME page"), client.run("PEXPIRETIME copy"));
    // And copying over a leased key voids that lease.
    let token = client.ask("CACHE.GETORLOCK copy FORCE").token();
    assert_eq!(client.run("COPY page copy REPLACE").number(), 1);
    assert!(client.run(&format!("CACHE.FILL copy {token} late")).is_nil());
}

#[test]
fn expire_is_honoured_and_persist_keeps_the_key_but_not_its_freshness() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html");
    client.run("PEXPIRE page 20");
    client.until("CACHE.GET page", "MISS");
    client.run("CACHE.SET page html PX 100");
    assert_eq!(client.run("PERSIST page").number(), 1);
    // The key's TTL follows the windows. Who changes it by hand is obeyed: what EXPIRE and PERSIST say about the key
    // holds, and freshness stays what FILL said.
    let after = client.until("CACHE.GETORLOCK page", "LOCK");
    assert!(after.is("LOCK", None), "{after:?}");
}

#[test]
fn scan_type_object_and_memory_answer_for_entries() {
    let server = Server::start();
    let mut client = server.client();
    Stock::furnish(&mut client);
    let word = client.run("TYPE fresh").text();
    let mut found: Vec<String> =
        client.run(&format!("SCAN 0 COUNT 1000 TYPE {word}")).list()[1].list().iter().map(Reply::text).collect();
    found.sort();
    assert_eq!(found, ["failed", "forced", "fresh", "held", "passed", "stale"]);
    for key in &found {
        assert!(client.run(&format!("MEMORY USAGE {key}")).number() > 0);
        client.run(&format!("OBJECT ENCODING {key}")).text();
        client.run(&format!("OBJECT IDLETIME {key}")).number();
        assert!(client.run(&format!("GET {key}")).error().starts_with("WRONGTYPE "));
    }
    client.call(&[b"CACHE.SET", b"large", &[b'x'; 100_000]]);
    assert!((100_000..130_000).contains(&client.run("MEMORY USAGE large").number()));
}

#[test]
fn a_hit_does_not_break_a_watch_and_a_fill_does() {
    let server = Server::start();
    let (mut client, mut other) = (server.client(), server.client());
    for (line, breaks) in [
        ("CACHE.GETORLOCK page", false),
        ("CACHE.GET page", false),
        ("CACHE.INFO page", false),
        ("CACHE.SET page newer PX 600000", true),
        ("CACHE.INVALIDATE page", true),
    ] {
        forced(&mut other);
        client.run("WATCH page");
        other.run(line);
        client.run("MULTI");
        client.run("PING");
        assert_eq!(client.run("EXEC").is_nil(), breaks, "{line}");
    }
    let token = forced(&mut other);
    client.run("WATCH page");
    other.run(&format!("CACHE.FILL page {token} newer"));
    client.run("MULTI");
    assert!(client.run("EXEC").is_nil());
}

#[test]
fn client_side_caches_of_get_are_invalidated_by_whatever_changes_the_value() {
    let server = Server::start();
    let (mut client, mut listener, mut other) = (server.client(), server.client(), server.client());
    let id = listener.id();
    listener.run("SUBSCRIBE __redis__:invalidate");
    assert!(client.run(&format!("CLIENT TRACKING ON REDIRECT {id}")).is_ok());
    for change in [
        "CACHE.FILL page <token> newer",
        "CACHE.PASS page <token>",
        "CACHE.SET page newer",
        "CACHE.INVALIDATE page",
        "DEL page",
    ] {
        let token = forced(&mut other);
        client.ask("CACHE.GET page");
        other.run(&change.replace("<token>", &token.to_string()));
        let told = listener.read();
        assert_eq!(told.list()[2].list()[0].text(), "page", "{change}: {told:?}");
        // What the next round's SET says is of no interest.
        client.run("CLIENT TRACKING OFF");
        client.run(&format!("CLIENT TRACKING ON REDIRECT {id}"));
    }
}

#[test]
fn a_lease_moves_with_its_key_to_another_server() {
    let (from, to) = (Server::start(), Server::start());
    let (mut client, mut there) = (from.client(), to.client());
    let stock = Stock::furnish(&mut client);
    for key in ["held", "forced", "failed", "passed"] {
        let port = to.port.to_string();
        let migrated = client.call(&[b"MIGRATE", b"127.0.0.1", port.as_bytes(), key.as_bytes(), b"0", b"5000"]);
        assert!(migrated.is_ok(), "{migrated:?}");
    }
    assert!(client.ask("CACHE.GET held").is("MISS", None));
    assert!(client.run(&format!("CACHE.FILL held {} html", stock.held)).is_nil(), "its key is elsewhere");
    let mut waiter = to.client();
    to.park(&mut waiter, "CACHE.GETORLOCK held BLOCK 0");
    assert!(there.run(&format!("CACHE.FILL held {} html", stock.held)).is_ok());
    assert!(waiter.read().triple().is("HIT", Some("html")));
    assert!(there.run(&format!("CACHE.FILL forced {} html", stock.forced)).is_ok());
    assert!(there.ask("CACHE.GET failed").is("FAIL", Some("down")));
    assert!(there.ask("CACHE.GET passed").is("PASS", None));
    assert!(there.ask("CACHE.GETORLOCK nothing").token() > stock.forced, "tokens grow");
    eventually("nobody waits", || to.info("blocked_clients") == 0);
}

#[test]
fn a_flush_of_any_kind_takes_entries_and_leases_of_its_databases_and_no_others() {
    for flush in ["FLUSHALL SYNC", "FLUSHALL ASYNC", "FLUSHDB SYNC", "FLUSHDB ASYNC"] {
        let server = Server::start();
        let (mut client, mut other, mut waiter) = (server.client(), server.client(), server.client());
        other.run("SELECT 1");
        let elsewhere = forced(&mut other);
        let token = forced(&mut client);
        for index in 0..2000 {
            client.send(&format!("CACHE.SET page{index} html PX 600000"));
        }
        assert!((0..2000).all(|_| client.read().is_ok()));
        client.call(&[b"CACHE.SET", b"large", &vec![b'x'; 8 << 20]]);
        let held = client.ask("CACHE.GETORLOCK held LEASE 60000").token();
        server.park(&mut waiter, "CACHE.GETORLOCK held BLOCK 0");
        assert!(client.run(flush).is_ok());
        assert_eq!(client.run("DBSIZE").number(), 0, "{flush}");
        let all = flush.starts_with("FLUSHALL");
        let leases = client.run("CACHE.LEASES");
        assert_eq!(leases.list().len(), usize::from(!all), "{flush}: {leases:?}");
        assert!(client.run(&format!("CACHE.FILL page {token} late")).is_nil(), "{flush}");
        assert_eq!(other.run(&format!("CACHE.FILL page {elsewhere} html")).is_nil(), all, "{flush}");
        assert!(client.run(&format!("CACHE.FILL held {held} html")).is_nil(), "{flush}");
        assert!(waiter.read().triple().is("HIT", Some("html")), "{flush}");
        eventually("memory returns", || server.info("used_memory") < 4 << 20);
    }
}

#[test]
fn object_and_copy_answer_for_entries_as_for_any_key() {
    let server = Server::start();
    let (mut client, mut other) = (server.client(), server.client());
    other.run("SELECT 1");
    forced(&mut client);
    assert_eq!(client.run("OBJECT REFCOUNT page").number(), 1);
    assert_eq!(client.run("OBJECT ENCODING page").text(), "raw");
    assert!(client.run("OBJECT FREQ page").error().contains("LFU"));
    client.run("CONFIG SET maxmemory-policy allkeys-lfu");
    client.run("CACHE.SET used html");
    let before = client.run("OBJECT FREQ used").number();
    for _ in 0..200 {
        client.ask("CACHE.GETORLOCK used");
    }
    assert!(client.run("OBJECT FREQ used").number() > before);
    assert!(client.run("OBJECT IDLETIME used").error().contains("LFU"));

    assert_eq!(client.run("COPY page page DB 1").number(), 1);
    assert!(other.ask("CACHE.GET page").is("HIT", Some("html")));
    assert!(other.run("CACHE.INFO page").field("lease").is_nil());
    assert_eq!(client.run("RENAMENX page used").number(), 0);
    assert!(!client.run("CACHE.INFO page").field("lease").is_nil(), "nothing was renamed");
    assert_eq!(client.run("RENAMENX page elsewhere").number(), 1);
    assert!(client.run("CACHE.INFO elsewhere").field("lease").is_nil());
}

/// A lease keeps its key, and nothing else.
#[test]
fn a_value_that_expire_ends_is_not_kept_alive_by_leases() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html EX 100 SWR 100000");
    client.run("CACHE.SET endless html");
    for key in ["page", "endless"] {
        client.run(&format!("PEXPIRE {key} 300"));
        let refresh = client.ask(&format!("CACHE.GETORLOCK {key} FORCE LEASE 60000"));
        assert!(refresh.is("REFRESH", Some("html")), "{refresh:?}");
        let hit = client.ask(&format!("CACHE.GETORLOCK {key}"));
        assert!(!hit.is("HIT", Some("html")) || (1..=300).contains(&hit.number), "{hit:?}");
        client.until(&format!("CACHE.GETORLOCK {key}"), "WAIT");
        assert!(client.run(&format!("CACHE.FILL {key} {} next", refresh.number)).is_ok());
        assert!(client.ask(&format!("CACHE.GETORLOCK {key}")).is("HIT", Some("next")));
    }
}

/// What EXPIRE says about the key holds: the conditions compare with the key's own deadline.
#[test]
fn the_conditions_of_expire_compare_with_the_keys_own_deadline() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html PX 60000 SWR 40000");
    for (line, done) in [
        ("EXPIRE page 10 NX", 0),
        ("EXPIRE page 90 GT", 0),
        ("EXPIRE page 110 LT", 0),
        ("EXPIRE page 110 GT", 1),
        ("PEXPIRE page 30000 XX", 1),
    ] {
        assert_eq!(client.run(line).number(), done, "{line}");
    }
    assert!((29_000..=30_000).contains(&client.run("PTTL page").number()));
    assert!(client.ask("CACHE.GETORLOCK page").is("HIT", Some("html")));
    let at = now_ms() + 50_000;
    assert_eq!(client.run(&format!("PEXPIREAT page {at}")).number(), 1);
    assert_eq!(client.run("PEXPIRETIME page").number() as u64, at);
    assert_eq!(client.run("EXPIRE page -1").number(), 1);
    assert_eq!(client.run("EXISTS page").number(), 0);
}

#[test]
fn every_change_has_its_keyspace_event_and_hits_have_none() {
    let server = Server::with(&["--notify-keyspace-events", "KEAd"]);
    let (mut client, mut listener) = (server.client(), server.client());
    listener.run("PSUBSCRIBE __key*__:*");
    let mut told_of = |client: &mut Client, line: &str| -> (Reply, Vec<String>) {
        let reply = client.run(line);
        client.run("PUBLISH __key__:end end");
        let mut told = Vec::new();
        loop {
            let message = listener.read();
            let (channel, text) = (message.list()[2].text(), message.list()[3].text());
            match channel.as_str() {
                "__key__:end" => return (reply, told),
                "__keyspace@0__:page" => told.push(text),
                // The same once more, under the event's name; Redis may say more, that a key is new or gone.
                channel => assert!(channel.starts_with("__keyevent@0__:") && text == "page", "{channel} {text}"),
            }
        }
    };
    let ours = |told: &[String]| told.iter().filter(|event| event.starts_with("cache.")).cloned().collect::<Vec<_>>();
    for (line, event) in [
        ("CACHE.SET page html PX 600000", "cache.fill"),
        ("CACHE.GETORLOCK page", ""),
        ("CACHE.GET page", ""),
        ("CACHE.INFO page", ""),
        ("CACHE.FILL page 1 late", ""),
        ("CACHE.GETORLOCK page FORCE", "cache.lock"),
        ("CACHE.RENEW page <token> 20000", ""),
        ("CACHE.TOUCH page <token> PX 600000", "cache.fill"),
        ("CACHE.GETORLOCK page FORCE", "cache.lock"),
        ("CACHE.FAIL page <token> down BACKOFF 1", "cache.fail"),
        ("CACHE.INVALIDATE page", "cache.invalidate"),
        ("DEL page", ""),
        ("CACHE.INVALIDATE page", ""),
        ("CACHE.GETORLOCK page", "cache.lock"),
        ("CACHE.PASS page <token>", "cache.pass"),
        ("DEL page", ""),
        ("CACHE.GETORLOCK page", "cache.lock"),
        ("CACHE.FILL page <token> html PX 600000", "cache.fill"),
    ] {
        let token = client.run("CACHE.LEASES");
        let token = token.list().first().map_or(0, |lease| lease.field("token").number());
        let (reply, told) = told_of(&mut client, &line.replace("<token>", &token.to_string()));
        assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply:?}");
        assert_eq!(ours(&told).join(" "), event, "{line}: {told:?}");
    }
    // The class has a letter of its own.
    client.run("CONFIG SET notify-keyspace-events KEg");
    let (_, told) = told_of(&mut client, "CACHE.SET page html");
    assert_eq!(ours(&told), [""; 0]);
}

#[test]
fn in_resp3_what_changes_a_value_is_pushed_to_whoever_got_it() {
    let server = Server::start();
    let mut other = server.client();
    for mode in ["CLIENT TRACKING ON", "CLIENT TRACKING ON BCAST PREFIX pa", "CLIENT TRACKING ON OPTIN"] {
        let mut client = server.client();
        client.run("HELLO 3");
        let token = forced(&mut other);
        assert!(client.run(mode).is_ok());
        if mode.ends_with("OPTIN") {
            client.run("CLIENT CACHING YES");
        }
        assert!(client.ask("CACHE.GET page").is("HIT", Some("html")));
        // Hits change nothing.
        other.ask("CACHE.GETORLOCK page");
        assert!(!client.has_reply(), "{mode}");
        assert!(other.run(&format!("CACHE.FILL page {token} newer PX 600000")).is_ok());
        let push = client.read();
        assert_eq!(push.list()[0].text(), "invalidate", "{mode}: {push:?}");
        assert_eq!(push.list()[1].list()[0].text(), "page", "{mode}: {push:?}");
        assert!(client.ask("CACHE.GET page").is("HIT", Some("newer")));
    }
}
