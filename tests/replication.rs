//! Replicas hold the same, serve reads, grant nothing, and take over.

use crate::harness::{eventually, picture, Client, Server, Stock};

/// Every command, every way a lease can end, and what Redis itself does to keys.
fn mix(server: &Server) {
    let mut client = server.client();
    Stock::furnish(&mut client);
    for line in [
        "CACHE.SET jittered value PX 3600000 JITTER 90 SWR 5",
        "CACHE.SET expired value PX 1",
        "CACHE.SET past value PXAT 1",
        "CACHE.SET windows value PXAT 1 SIE 9007199254740000",
        "CACHE.INVALIDATE windows nothing fresh",
        "CACHE.SET purged value",
        "CACHE.INVALIDATE purged",
        "CACHE.SET list now-a-value EX 3600",
        "CACHE.MGETORLOCK 3 many1 many2 many3 LEASE 300000",
        "CACHE.SET copied value PX 3600000",
        "COPY copied copy",
        "RENAME copied renamed",
        "MOVE renamed 1",
        "CACHE.SET shortened value",
        "EXPIRE shortened 3600",
        "CACHE.SET lengthened value EX 3600",
        "PERSIST lengthened",
        "CACHE.SET deleted value",
        "DEL deleted",
    ] {
        client.run(line);
    }
    let holder = &mut server.client();
    let mut take = |key: &str| holder.ask(&format!("CACHE.GETORLOCK {key} LEASE 200000 FORCE")).token();
    for line in [
        format!("CACHE.FILL filled {} value EX 3600 SWR 9 JITTER 50", take("filled")),
        format!("CACHE.TOUCH jittered {} PX 3600000 SIE 8 JITTER 50", take("jittered")),
        format!("CACHE.RENEW renewed {} 250000", take("renewed")),
        format!("CACHE.RELEASE released {}", take("released")),
        format!("CACHE.RELEASE lengthened {}", take("lengthened")),
        format!("CACHE.FAIL broken {} message BACKOFF 3600000", take("broken")),
        format!("CACHE.PASS personal {} PX 3600000", take("personal")),
    ] {
        client.run(&line);
    }
    let token = take("transaction");
    client.run("MULTI");
    client.run(&format!("CACHE.FILL transaction {token} value"));
    client.run("CACHE.GETORLOCK transaction2 LEASE 300000");
    client.run("EXEC");
    let token = take("script").to_string();
    let script = b"redis.call('CACHE.FILL', KEYS[1], ARGV[1], 'value') redis.call('CACHE.GETORLOCK', KEYS[2])";
    client.call(&[b"EVAL", script, b"2", b"script", b"script2", token.as_bytes()]);
    hand_over(server);
}

/// Leases that go to waiters: by release, by deadline, by a closed connection. And one that nobody waits for.
fn hand_over(server: &Server) {
    let mut client = server.client();
    for how in ["release", "deadline", "closed"] {
        let (mut holder, mut waiter) = (server.client(), server.client());
        let lease_ms = if how == "deadline" { 300 } else { 60_000 };
        let token = holder.ask(&format!("CACHE.GETORLOCK {how} TIED LEASE {lease_ms}")).token();
        server.park(&mut waiter, &format!("CACHE.GETORLOCK {how} BLOCK 0 LEASE 300000"));
        match how {
            "release" => assert_eq!(client.run(&format!("CACHE.RELEASE {how} {token}")).number(), 1),
            "closed" => holder.hang_up(),
            _ => {}
        }
        assert!(waiter.read().triple().is("LOCK", None));
    }
    let mut holder = server.client();
    holder.ask("CACHE.GETORLOCK alone TIED LEASE 60000");
    holder.hang_up();
    eventually("the lease of a closed connection is gone", || client.ask("CACHE.GET alone").number == 0);
}

fn assert_same(master: &Server, replica: &Server) {
    replica.catch_up_with(master);
    for db in ["SELECT 0", "SELECT 1"] {
        let (mut ours, mut theirs) = (master.client(), replica.client());
        ours.run(db);
        theirs.run(db);
        assert_eq!(picture(&mut ours), picture(&mut theirs));
    }
}

#[test]
fn a_replica_holds_the_same_after_a_mix_of_commands() {
    let master = Server::start();
    let replica = master.replica();
    let second = replica.replica();
    mix(&master);
    assert_same(&master, &replica);
    assert_same(&master, &second);
}

#[test]
fn a_replica_that_joins_later_holds_the_same() {
    let master = Server::start();
    mix(&master);
    for (sync, load) in [("yes", "disabled"), ("yes", "swapdb"), ("no", "disabled")] {
        assert!(master.client().run(&format!("CONFIG SET repl-diskless-sync {sync}")).is_ok());
        let replica = master.replica_with(&["--repl-diskless-load", load]);
        assert_same(&master, &replica);
        // And it follows from there.
        master.client().run("CACHE.SET jittered newer PX 3600000 JITTER 90");
        assert_same(&master, &replica);
    }
}

#[test]
fn a_replica_answers_get_and_grants_nothing() {
    let master = Server::start();
    let stock = Stock::furnish(&mut master.client());
    let replica = master.replica();
    let mut client = replica.client();
    for (key, state, value) in [
        ("fresh", "HIT", Some("value")),
        ("stale", "STALE", Some("value")),
        ("forced", "HIT", Some("value")),
        ("held", "MISS", None),
        ("passed", "PASS", None),
        ("failed", "FAIL", Some("down")),
        ("string", "HIT", Some("12345")),
        ("nothing", "MISS", None),
    ] {
        let answer = client.ask(&format!("CACHE.GET {key}"));
        assert!(answer.is(state, value), "{key}: {answer:?}");
    }
    assert!(client.ask("CACHE.GET held").number > 0, "a lease is out");
    let info = client.run("CACHE.INFO held");
    assert_eq!(info.field("lease").field("token").number(), stock.held);
    assert!(info.field("lease").field("holder").is_nil(), "it is another node's client");

    let before = picture(&mut client);
    for writable in [false, true] {
        client.run(&format!("CONFIG SET replica-read-only {}", if writable { "no" } else { "yes" }));
        for line in ["CACHE.GETORLOCK nothing BLOCK 0", "CACHE.GETORLOCK stale", "CACHE.FILL held 1 v"] {
            let refused = client.run(line);
            assert!(refused.error().starts_with("READONLY "), "{line}, writable {writable}: {refused:?}");
        }
    }
    assert!(client.ask("CACHE.GETORLOCK fresh FORCE").is("HIT", Some("value")), "a hit is served as GET is");
    assert_eq!(picture(&mut client), before);
}

#[test]
fn a_deadline_that_passes_on_a_replica_changes_nothing_there() {
    let master = Server::start();
    let replica = master.replica();
    let (mut client, mut reader) = (master.client(), replica.client());
    let token = client.ask("CACHE.GETORLOCK page LEASE 2000").token();
    replica.catch_up_with(&master);
    eventually("the lease has run out on the replica", || reader.ask("CACHE.GET page").number == 0);
    assert!(reader.ask("CACHE.GET page").is("MISS", None));
    assert!(client.run(&format!("CACHE.FILL page {token} late")).is_ok(), "nobody took over");
    assert_same(&master, &replica);
    assert!(reader.ask("CACHE.GET page").is("HIT", Some("late")));
}

#[test]
fn the_holders_fill_works_on_the_new_master() {
    let mut master = Server::start();
    let replica = master.replica();
    let stock = Stock::furnish(&mut master.client());
    let short = master.client().ask("CACHE.GETORLOCK short LEASE 1000").token();
    replica.catch_up_with(&master);
    let (mut client, mut waiter) = (replica.client(), replica.client());
    assert!(client.run("REPLICAOF NO ONE").is_ok());
    assert!(master.is_alive());
    // Waiters join the lease that the old master granted, and its deadline counts here.
    let lock = waiter.ask("CACHE.GETORLOCK short BLOCK 0");
    assert!(lock.is("LOCK", None) && lock.token() > short, "{lock:?}");
    server_takes_over(&replica, &mut client, &stock);
}

fn server_takes_over(server: &Server, client: &mut Client, stock: &Stock) {
    let mut waiter = server.client();
    server.park(&mut waiter, "CACHE.GETORLOCK held BLOCK 0");
    assert!(client.run(&format!("CACHE.FILL held {} html", stock.held)).is_ok());
    assert!(waiter.read().triple().is("HIT", Some("html")));
    assert!(client.run(&format!("CACHE.FILL forced {} html", stock.forced)).is_ok());
    assert!(client.ask("CACHE.GETORLOCK nothing").token() > stock.forced, "tokens grow");
}

#[test]
fn parked_clients_are_told_when_their_server_becomes_a_replica() {
    let (server, other) = (Server::start(), Server::start());
    let mut holder = server.client();
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000 TIED").token();
    let mut waiters = server.clients(50);
    server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    assert!(holder.run(&format!("REPLICAOF 127.0.0.1 {}", other.port)).is_ok());
    for waiter in &mut waiters {
        let told = waiter.read();
        assert!(told.error().starts_with("UNBLOCKED "), "{told:?}");
    }
    server.catch_up_with(&other);
    assert!(holder.run(&format!("CACHE.FILL page {token} html")).error().starts_with("READONLY "));
    // And back again: nothing is left of the old rebuild.
    holder.run("REPLICAOF NO ONE");
    let next = holder.ask("CACHE.GETORLOCK page");
    assert!(next.is("LOCK", None) && next.token() > token, "{next:?}");
}

#[test]
fn a_clients_own_apply_is_refused_and_changes_nothing() {
    let server = Server::start();
    let replica = server.replica();
    let mut client = server.client();
    Stock::furnish(&mut client);
    let before = picture(&mut client);
    for server in [&server, &replica] {
        let mut client = server.client();
        for key in [b"held".as_slice(), b"nothing", b"list"] {
            for header in [b"".as_slice(), b"\x01", &[1; 100], &[0xff; 5000]] {
                for call in [&[b"CACHE.APPLY", key, header][..], &[b"CACHE.APPLY", key, header, b"value"]] {
                    let refused = client.call(call);
                    let code = refused.error().split(' ').next().unwrap_or_default().to_owned();
                    assert!(code == "ERR" || code == "READONLY", "{refused:?}");
                }
            }
        }
    }
    replica.catch_up_with(&server);
    assert_eq!(picture(&mut client), before);
    assert_eq!(picture(&mut replica.client()), before);
}
