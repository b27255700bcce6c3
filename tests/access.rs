//! ACL: who may do what, by key, by command and by category.

use crate::harness::{eventually, Client, Reply, Server};

/// Every command with a key, and what it needs of the key.
const CALLS: [(&str, &str); 12] = [
    ("CACHE.GETORLOCK K LEASE 1000", "RW"),
    ("CACHE.MGETORLOCK 2 app:other K", "RW"),
    ("CACHE.FILL K 1 value", "RW"),
    ("CACHE.TOUCH K 1", "RW"),
    ("CACHE.FAIL K 1 down", "RW"),
    ("CACHE.PASS K 1", "RW"),
    ("CACHE.RENEW K 1 1000", "RW"),
    ("CACHE.RELEASE K 1", "RW"),
    ("CACHE.SET K value", "W"),
    ("CACHE.INVALIDATE app:other K", "RW"),
    ("CACHE.GET K", "R"),
    ("CACHE.INFO K", "R"),
];

/// The categories of each command, where a module's commands can have any.
const CATEGORIES: [(&str, &str); 20] = [
    ("getorlock", "write fast blocking"),
    ("mgetorlock", "write fast"),
    ("fill", "write fast"),
    ("touch", "write fast"),
    ("fail", "write fast"),
    ("pass", "write fast"),
    ("renew", "write fast"),
    ("release", "write fast"),
    ("set", "write fast"),
    ("invalidate", "write fast"),
    ("get", "read fast"),
    ("info", "read fast"),
    ("mget", "read fast"),
    ("outdate", "write fast"),
    ("invalidatetag", "write fast"),
    ("tags", "read fast"),
    ("version", "read fast"),
    ("leases", "read slow admin dangerous"),
    ("top", "read slow admin dangerous"),
    ("apply", "write slow"),
];

/// A connection of a user with these rules.
fn user(server: &Server, rules: &str) -> Client {
    let mut client = server.client();
    assert!(client.run(&format!("ACL SETUSER bob reset on nopass {rules}")).is_ok(), "{rules}");
    assert!(client.run("AUTH bob any").is_ok());
    client
}

fn is_refused(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(sentence) if sentence.starts_with("NOPERM "))
}

#[test]
fn every_command_is_refused_on_a_key_that_is_not_allowed_and_changes_nothing() {
    let server = Server::start();
    let mut admin = server.client();
    let mut bob = user(&server, "+@all ~app:*");
    for (call, _) in CALLS {
        let reply = bob.run(&call.replace(" K", " secret"));
        assert!(is_refused(&reply), "{call}: {reply:?}");
        assert_eq!(admin.run("DBSIZE").number(), 0, "{call}");
        let reply = bob.run(&call.replace(" K", " app:page"));
        assert!(!is_refused(&reply), "{call}: {reply:?}");
        admin.run("FLUSHALL");
    }
    // No key is named by it.
    assert!(!is_refused(&bob.run("CACHE.LEASES")));
}

#[test]
fn permission_to_read_is_not_permission_to_write_and_the_other_way_round() {
    let server = Server::start();
    for (rules, has) in [("%R~app:*", "R"), ("%W~app:*", "W"), ("%RW~app:*", "RW")] {
        let mut bob = user(&server, &format!("+@all {rules}"));
        for (call, needed) in CALLS {
            let reply = bob.run(&call.replace(" K", " app:page"));
            let allowed = needed.chars().all(|letter| has.contains(letter));
            assert_eq!(!is_refused(&reply), allowed, "{rules}, {call}: {reply:?}");
        }
    }
}

#[test]
fn commands_are_allowed_and_refused_one_by_one() {
    let server = Server::start();
    let mut reader = user(&server, "~* -@all +cache.get +cache.info");
    for (call, _) in CALLS {
        let reply = reader.run(&call.replace(" K", " app:page"));
        let allowed = call.starts_with("CACHE.GET ") || call.starts_with("CACHE.INFO ");
        assert_eq!(!is_refused(&reply), allowed, "{call}: {reply:?}");
    }
    assert!(is_refused(&reader.run("CACHE.LEASES")));
    let mut builder = user(&server, "~* +@all -cache.set");
    assert!(is_refused(&builder.run("CACHE.SET page value")));
    let token = builder.ask("CACHE.GETORLOCK page").token();
    assert!(builder.run(&format!("CACHE.FILL page {token} value")).is_ok());
}

#[test]
fn permissions_hold_in_transactions_and_scripts_too() {
    let server = Server::start();
    let mut bob = user(&server, "+@all ~app:*");
    bob.run("MULTI");
    assert!(is_refused(&bob.run("CACHE.GETORLOCK secret")));
    assert!(bob.run("EXEC").error().starts_with("EXECABORT "));
    let script = "return redis.call('CACHE.GETORLOCK','secret')";
    let reply = bob.call(&[b"EVAL", script.as_bytes(), b"0"]);
    assert!(matches!(reply, Reply::Error(_)), "{reply:?}");
    assert_eq!(server.client().run("DBSIZE").number(), 0);
}

#[test]
fn every_command_is_in_its_categories() {
    let server = Server::start();
    let mut admin = server.client();
    let categories = |admin: &mut Client, name: &str| -> Vec<String> {
        let info = admin.run(&format!("COMMAND INFO CACHE.{name}"));
        info.list()[0].list()[6].list().iter().map(Reply::text).collect()
    };
    if categories(&mut admin, "GET").is_empty() {
        eprintln!("skipped in part: on this server a module's commands have no categories");
        return;
    }
    let has_our_own = admin.run("ACL CAT").list().iter().any(|category| category.text() == "cache");
    for (name, wanted) in CATEGORIES {
        let mut wanted: Vec<String> = wanted.split(' ').map(|category| format!("@{category}")).collect();
        if has_our_own {
            wanted.push("@cache".to_owned());
        }
        let mut found = categories(&mut admin, name);
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "CACHE.{name}");
    }
    let mut reader = user(&server, "~* -@all +@read");
    assert!(!is_refused(&reader.run("CACHE.GET page")));
    assert!(is_refused(&reader.run("CACHE.GETORLOCK page")));
    let mut hasty = user(&server, "~* +@all -@blocking");
    assert!(is_refused(&hasty.run("CACHE.GETORLOCK page")));
    assert!(!is_refused(&hasty.run("CACHE.MGETORLOCK 1 page")));
    if !has_our_own {
        eprintln!("skipped in part: on this server a module cannot add a category");
        return;
    }
    let mut cacher = user(&server, "~* -@all +@cache");
    assert!(!is_refused(&cacher.run("CACHE.GETORLOCK page")));
    assert!(is_refused(&cacher.run("GET page")));
}

#[test]
fn a_parked_client_whose_user_is_deleted_is_closed_and_forgotten() {
    let server = Server::start();
    let mut admin = server.client();
    let token = admin.ask("CACHE.GETORLOCK page LEASE 60000").token();
    let mut bob = user(&server, "+@all ~*");
    server.park(&mut bob, "CACHE.GETORLOCK page BLOCK 0");
    assert_eq!(admin.run("ACL DELUSER bob").number(), 1);
    assert_eq!(bob.read(), Reply::Closed);
    eventually("nobody waits", || server.info("corral_waiters") == 0);
    assert!(admin.run(&format!("CACHE.FILL page {token} html")).is_ok());
}

/// What is taken from a user while it is parked, as rules for ACL SETUSER; and the rules it was parked under.
const TAKEN: [(&str, &str); 4] = [
    ("+@all ~app:*", "resetkeys ~other:*"),
    ("+@all ~app:*", "resetkeys %R~app:*"),
    ("+@all ~*", "-cache.getorlock"),
    ("+@all ~other:* (+@all ~app:*)", "clearselectors"),
];

#[test]
fn a_parked_client_whose_permission_was_taken_gets_no_value() {
    let server = Server::start();
    let (mut admin, mut other) = (server.client(), server.client());
    for (rules, taken) in TAKEN {
        let token = admin.ask("CACHE.GETORLOCK app:page LEASE 60000").token();
        let mut bob = user(&server, rules);
        server.park(&mut bob, "CACHE.GETORLOCK app:page BLOCK 0");
        server.park(&mut other, "CACHE.GETORLOCK app:page BLOCK 0");
        assert!(admin.run(&format!("ACL SETUSER bob {taken}")).is_ok(), "{taken}");
        assert!(admin.run(&format!("CACHE.FILL app:page {token} secret")).is_ok());
        let told = bob.read();
        assert!(is_refused(&told), "{taken}: {told:?}");
        assert!(other.read().triple().is("HIT", Some("secret")), "{taken}");
        admin.run("FLUSHALL");
    }
}

#[test]
fn a_parked_client_whose_permission_was_taken_is_granted_nothing_and_the_next_is() {
    let server = Server::start();
    let (mut admin, mut other) = (server.client(), server.client());
    for (rules, taken) in TAKEN {
        for end in ["RELEASE", "deadline"] {
            let lease = if end == "deadline" { 4000 } else { 60_000 };
            let token = admin.ask(&format!("CACHE.GETORLOCK app:page LEASE {lease}")).token();
            let mut bob = user(&server, rules);
            server.park(&mut bob, "CACHE.GETORLOCK app:page BLOCK 0");
            server.park(&mut other, "CACHE.GETORLOCK app:page BLOCK 0 LEASE 60000");
            assert!(admin.run(&format!("ACL SETUSER bob {taken}")).is_ok(), "{taken}");
            if end == "RELEASE" {
                assert_eq!(admin.run(&format!("CACHE.RELEASE app:page {token}")).number(), 1);
            }
            let told = bob.read();
            assert!(is_refused(&told), "{taken}, {end}: {told:?}");
            let lock = other.read().triple();
            assert!(lock.is("LOCK", None) && lock.token() > token, "{taken}, {end}: {lock:?}");
            assert_eq!(server.info("corral_live_leases"), 1, "{taken}, {end}");
            assert!(other.run(&format!("CACHE.FILL app:page {} html", lock.token())).is_ok());
            admin.run("FLUSHALL");
        }
    }
}

#[test]
fn who_may_not_any_more_and_waits_alone_leaves_no_lease_behind() {
    let server = Server::start();
    let mut admin = server.client();
    let token = admin.ask("CACHE.GETORLOCK app:page LEASE 60000").token();
    let mut bob = user(&server, "+@all ~app:*");
    server.park(&mut bob, "CACHE.GETORLOCK app:page BLOCK 0");
    assert!(admin.run("ACL SETUSER bob resetkeys ~other:*").is_ok());
    assert_eq!(admin.run(&format!("CACHE.RELEASE app:page {token}")).number(), 1);
    let told = bob.read();
    assert!(is_refused(&told), "{told:?}");
    eventually("no lease is out", || server.info("corral_live_leases") == 0);
    assert!(admin.ask("CACHE.GETORLOCK app:page").is("LOCK", None));
}
