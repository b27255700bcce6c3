//! Replicas that lose their link, come late or are promoted, and masters that are demoted.

use crate::harness::{eventually, picture, Reply, Server, Stock};

fn assert_same(master: &Server, replica: &Server) {
    replica.catch_up_with(master);
    for db in ["SELECT 0", "SELECT 1", "SELECT 2"] {
        let (mut ours, mut theirs) = (master.client(), replica.client());
        ours.run(db);
        theirs.run(db);
        assert_eq!(picture(&mut ours), picture(&mut theirs), "{db}");
    }
}

/// The holders' fills land here, and new tokens are larger than theirs.
fn assert_takes_over(server: &Server, stock: &Stock) {
    let mut client = server.client();
    let token = client.ask("CACHE.GETORLOCK after-the-change").token();
    assert!(token > stock.held.max(stock.forced), "{token}");
    for (key, token) in [("held", stock.held), ("forced", stock.forced)] {
        assert!(client.run(&format!("CACHE.FILL {key} {token} rebuilt PX 3600000")).is_ok(), "{key}");
        assert!(client.ask(&format!("CACHE.GETORLOCK {key}")).is("HIT", Some("rebuilt")), "{key}");
    }
    assert!(client.ask("CACHE.GETORLOCK failed").is("FAIL", Some("down")));
    assert!(client.ask("CACHE.GETORLOCK passed").is("PASS", None));
}

#[test]
fn a_replica_whose_link_was_cut_has_what_it_missed_without_a_full_sync() {
    let master = Server::start();
    let replica = master.replica();
    let mut client = master.client();
    let full_syncs = master.info("sync_full");
    for (turn, (server, kind)) in [(&replica, "master"), (&master, "replica")].into_iter().enumerate() {
        let before = master.info("sync_partial_ok");
        assert!(server.client().run(&format!("CLIENT KILL TYPE {kind}")).number() >= 1);
        let token = client.ask(&format!("CACHE.GETORLOCK missed{turn} LEASE 300000")).token();
        client.run(&format!("CACHE.SET missed-value{turn} value PX 3600000 JITTER 50"));
        eventually("the replica is back", || master.info("sync_partial_ok") > before);
        assert_same(&master, &replica);
        let seen = replica.client().run(&format!("CACHE.INFO missed{turn}"));
        assert_eq!(seen.field("lease").field("token").number(), token);
    }
    assert_eq!(master.info("sync_full"), full_syncs);
    assert!(client.run("REPLICAOF NO ONE").is_ok());
}

#[test]
fn a_replica_that_joins_while_leases_are_out_can_take_over_however_it_was_loaded() {
    for diskless in ["yes", "no"] {
        let master = Server::with(&["--save", "", "--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0"]);
        let stock = Stock::furnish(&mut master.client());
        for load in ["disabled", "on-empty-db", "swapdb"] {
            let replica = master.replica_with(&["--repl-diskless-load", load]);
            assert_same(&master, &replica);
            assert!(replica.client().run("REPLICAOF NO ONE").is_ok());
            assert_takes_over(&replica, &stock);
        }
    }
}

#[test]
fn what_expires_goes_on_both_sides() {
    let master = Server::start();
    let replica = master.replica();
    let mut client = master.client();
    for turn in 0..50 {
        client.run(&format!("CACHE.SET value{turn} text PX {} SWR 20", 1 + turn * 3));
        client.ask(&format!("CACHE.GETORLOCK lease{turn} LEASE {}", 1 + turn * 2));
    }
    client.run("CACHE.SET last value");
    eventually("only the last is left", || client.run("DBSIZE").number() == 1);
    assert_same(&master, &replica);
    eventually("on the replica too", || replica.client().run("DBSIZE").number() == 1);
}

#[test]
fn leases_follow_neither_moved_nor_renamed_nor_copied_keys_on_either_side() {
    let master = Server::start();
    let replica = master.replica();
    let mut client = master.client();
    for line in [
        "CACHE.SET renamed value PX 3600000",
        "CACHE.GETORLOCK renamed FORCE LEASE 300000",
        "COPY renamed copied",
        "RENAME renamed renamed-to",
        "CACHE.SET over value PX 3600000",
        "CACHE.GETORLOCK over FORCE LEASE 300000",
        "RENAME copied over",
        "CACHE.GETORLOCK empty LEASE 300000",
        "RENAME empty empty-to",
        "CACHE.SET moved value PX 3600000",
        "CACHE.GETORLOCK moved FORCE LEASE 300000",
        "MOVE moved 1",
        "CACHE.SET string-over value",
        "CACHE.GETORLOCK string-over FORCE LEASE 300000",
        "SET string-over string",
        "CACHE.GETORLOCK unlinked LEASE 300000",
        "UNLINK unlinked",
        "CACHE.GETORLOCK purged LEASE 300000",
        "CACHE.INVALIDATE purged",
        "CACHE.SET persisted value PX 3600000",
        "PERSIST persisted",
        "CACHE.GETORLOCK persisted FORCE LEASE 300000",
        "CACHE.SET expiring value PX 3600000",
        "PEXPIRE expiring 7200000",
        "CACHE.GETORLOCK expiring FORCE LEASE 300000",
    ] {
        let reply = client.run(line);
        assert!(!matches!(reply, Reply::Error(_) | Reply::Closed), "{line}: {reply:?}");
    }
    assert_same(&master, &replica);
    let without = ["renamed-to", "over", "empty-to", "string-over", "purged"];
    for key in without {
        let info = replica.client().run(&format!("CACHE.INFO {key}"));
        assert!(info.is_nil() || info.field("lease").is_nil(), "{key}: {info:?}");
    }
    for key in ["persisted", "expiring"] {
        let info = replica.client().run(&format!("CACHE.INFO {key}"));
        assert!(!info.field("lease").is_nil(), "{key}: {info:?}");
    }
}

#[test]
fn swapped_databases_are_the_same_on_both_sides() {
    let master = Server::start();
    let replica = master.replica();
    let mut client = master.client();
    let stock = Stock::furnish(&mut client);
    client.run("SELECT 1");
    client.ask("CACHE.GETORLOCK held LEASE 300000");
    assert!(client.run("SWAPDB 0 2").is_ok());
    assert_same(&master, &replica);
    client.run("SELECT 2");
    let filled = client.run(&format!("CACHE.FILL held {} html PX 3600000", stock.held));
    assert!(!matches!(filled, Reply::Error(_)), "{filled:?}");
    assert_same(&master, &replica);
}

#[test]
fn nobody_stays_silent_when_deadlines_pass_while_a_master_is_demoted() {
    const PARKED: usize = 150;
    let (mut old, new) = (Server::start(), Server::start());
    let mut operator = old.client();
    operator.ask("CACHE.GETORLOCK long LEASE 300000");
    operator.ask("CACHE.GETORLOCK short LEASE 5");
    let mut waiters = old.clients(2 * PARKED);
    old.park_all(&mut waiters[..PARKED], "CACHE.GETORLOCK long BLOCK 0");
    waiters[PARKED..].iter_mut().for_each(|waiter| waiter.send("CACHE.GETORLOCK short BLOCK 0 LEASE 2"));
    assert!(operator.run(&format!("REPLICAOF 127.0.0.1 {}", new.port)).is_ok());
    let (mut granted, mut told) = (0, 0);
    for waiter in &mut waiters {
        match waiter.read() {
            // The lease ran out, or the ask arrived, before or after the demotion.
            Reply::List(_) => granted += 1,
            reply => {
                let code = reply.error().split(' ').next().unwrap_or_default();
                assert!(matches!(code, "UNBLOCKED" | "READONLY"), "{reply:?}");
                told += 1;
            }
        }
    }
    eprintln!("{granted} granted, {told} told");
    assert!(told >= PARKED, "{told}");
    old.catch_up_with(&new);
    assert_same(&new, &old);
    assert_eq!((old.info("corral_waiters"), old.info("corral_panics_caught")), (0, 0));
    assert!(old.is_alive());

    // And back again: it grants and parks as if nothing had been.
    assert!(old.client().run("REPLICAOF NO ONE").is_ok());
    let (mut holder, mut waiter) = (old.client(), old.client());
    let token = holder.ask("CACHE.GETORLOCK long").token();
    old.park(&mut waiter, "CACHE.GETORLOCK long BLOCK 0");
    assert!(holder.run(&format!("CACHE.FILL long {token} html")).is_ok());
    assert!(waiter.read().triple().is("HIT", Some("html")));
}

/// With `swapdb` a data set of another history is announced beside the present one and loaded in its place.
#[test]
fn a_new_replica_knows_its_masters_leases_however_it_loads_them() {
    for load in ["disabled", "on-empty-db", "swapdb"] {
        let master = Server::with(&["--save", "", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"]);
        let (mut client, mut holder) = (master.client(), master.client());
        holder.ask("CACHE.GETORLOCK tied LEASE 290000 TIED").token();
        for key in 0..3 {
            client.ask(&format!("CACHE.GETORLOCK held{key} LEASE 290000 GROUP g")).token();
        }
        let replica = master.replica_with(&["--repl-diskless-load", load]);
        replica.catch_up_with(&master);
        // One more, by the stream: whatever the load leaves to do in slices comes before it is listed.
        client.ask("CACHE.GETORLOCK later LEASE 290000").token();
        replica.catch_up_with(&master);
        eventually("the replica knows all of them", || replica.info("corral_live_leases") == 5);
        let mut there = replica.client();
        assert!(there.call(&[b"CONFIG", b"SET", b"corral.groups", b"g max 3"]).is_ok());
        assert!(there.run("REPLICAOF NO ONE").is_ok());
        let wait = there.ask("CACHE.GETORLOCK another GROUP g");
        assert!(wait.is("WAIT", None), "{load}: its permits are the master's: {wait:?}");
        eventually("the tie has ended", || there.ask("CACHE.GETORLOCK tied").state == "LOCK");
    }
}
