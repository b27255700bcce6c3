//! Entries under Redis's own commands: as for any key, except that a live lease does not travel.

use crate::harness::{eventually, Client, Reply, Server, Stock};

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
