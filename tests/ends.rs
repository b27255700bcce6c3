//! No lease ends silently: whatever ends it, WATCH sees it, readers' tracking is told, and an event says so. On a replica
//! too.

use crate::harness::{eventually, Client, Reply, Server};

/// How a lease can end: what is done (`T` is its token), and the event that tells. `None`: the server's own event does.
const ENDS: [(&str, Option<&str>); 17] = [
    ("CACHE.RELEASE page T", Some("cache.release")),
    ("CACHE.FILL page T html PX 60000", Some("cache.fill")),
    ("CACHE.FILL page T html PXAT 1", Some("cache.fill")),
    ("CACHE.TOUCH page T PX 60000", Some("cache.fill")),
    ("CACHE.FAIL page T down", Some("cache.fail")),
    ("CACHE.PASS page T", Some("cache.pass")),
    ("CACHE.INVALIDATE page", Some("cache.invalidate")),
    ("CACHE.SET page html", Some("cache.fill")),
    ("CACHE.SET page html PX 60000 VERSION 7", Some("cache.fill")),
    ("a deadline", Some("cache.expire")),
    ("a closed tie", Some("cache.release")),
    ("a lost grant", Some("cache.release")),
    ("SET page string", None),
    ("DEL page", None),
    ("UNLINK page", None),
    ("RENAME page other", None),
    ("MOVE page 1", None),
];

/// A reader that is told by a push when what it has seen changes.
fn tracker(server: &Server) -> Client {
    let mut client = server.client();
    assert!(matches!(client.run("HELLO 3"), Reply::Map(_)));
    assert!(client.run("CLIENT TRACKING ON").is_ok());
    client
}

fn told(tracker: &mut Client) -> String {
    let push = tracker.read();
    let [kind, Reply::List(keys)] = push.list() else { panic!("not a push about keys: {push:?}") };
    assert_eq!(kind.text(), "invalidate");
    keys[0].text()
}

/// Takes the lease in the way that its end asks for, and returns its token and its holder.
fn take(server: &Server, end: &str) -> (i64, Client) {
    let mut holder = server.client();
    if end.starts_with("CACHE.TOUCH") {
        holder.run("CACHE.SET page old PX 1 SWR 600000");
        holder.until("CACHE.GET page", "STALE");
    }
    let line = match end {
        "a deadline" => "CACHE.GETORLOCK page LEASE 4000",
        "a closed tie" => "CACHE.GETORLOCK page LEASE 290000 TIED",
        _ => "CACHE.GETORLOCK page LEASE 290000",
    };
    (holder.ask(line).token(), holder)
}

/// Ends it.
fn end(server: &Server, end: &str, token: i64, mut holder: Client) {
    match end {
        "a deadline" => {}
        "a closed tie" => holder.hang_up(),
        // Somebody is promoted by a RELEASE in the very turn in which its connection is killed.
        "a lost grant" => {
            let mut waiter = server.client();
            let id = waiter.id();
            server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0 LEASE 290000");
            holder.run("MULTI");
            holder.run(&format!("CACHE.RELEASE page {token}"));
            holder.run(&format!("CLIENT KILL ID {id}"));
            holder.run("EXEC");
        }
        line => {
            let reply = holder.run(&line.replace(" T", &format!(" {token}")));
            assert!(!matches!(reply, Reply::Error(_) | Reply::Nil), "{line}: {reply:?}");
        }
    }
}

#[test]
fn every_end_of_a_lease_is_seen_by_watch_and_told_to_readers_and_subscribers() {
    let server = Server::start();
    let mut operator = server.client();
    assert!(operator.run("CONFIG SET notify-keyspace-events KEA").is_ok());
    for (how, event) in ENDS {
        operator.run("FLUSHALL");
        let (token, holder) = take(&server, how);
        let (mut reader, mut watcher, mut subscriber) = (tracker(&server), server.client(), server.client());
        let seen = reader.ask("CACHE.GET page");
        assert!(matches!(seen.state.as_str(), "MISS" | "STALE"), "{how}: {seen:?}");
        assert!(watcher.run("WATCH page").is_ok());
        subscriber.run("SUBSCRIBE __keyspace@0__:page");
        end(&server, how, token, holder);
        assert_eq!(told(&mut reader), "page", "{how}");
        if let Some(event) = event {
            // Others may come before it: cache.lock of the one who is promoted, `set` by the server.
            while subscriber.read().list()[2].text() != event {}
        }
        watcher.run("MULTI");
        assert!(watcher.run("EXEC").is_nil(), "{how}");
    }
    assert_eq!(server.info("corral_panics_caught"), 0);
}

#[test]
fn every_end_of_a_lease_is_told_on_a_replica_too() {
    let server = Server::start();
    let replica = server.replica();
    let (mut operator, mut there) = (server.client(), replica.client());
    assert!(there.run("CONFIG SET notify-keyspace-events KEA").is_ok());
    for (how, event) in ENDS {
        operator.run("FLUSHALL");
        replica.catch_up_with(&server);
        let (token, holder) = take(&server, how);
        replica.catch_up_with(&server);
        let (mut reader, mut subscriber) = (tracker(&replica), replica.client());
        reader.ask("CACHE.GET page");
        subscriber.run("SUBSCRIBE __keyspace@0__:page");
        end(&server, how, token, holder);
        assert_eq!(told(&mut reader), "page", "{how}");
        if let Some(event) = event {
            // By its own timer, or as its master told it.
            while subscriber.read().list()[2].text() != event {}
        }
    }
    eventually("both hold the same", || {
        replica.catch_up_with(&server);
        crate::harness::picture(&mut there) == crate::harness::picture(&mut operator)
    });
}
