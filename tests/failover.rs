//! New masters: in step with the old one, elected by Sentinels, with a clock that lags. The holder's fill works there,
//! tokens keep growing, and who was parked is told.

use crate::harness::payload::{dump, forged, restore, wide};
use crate::harness::{eventually, Client, Clock, Reply, Sentinels, Server};

const PARKED: usize = 30;

const HOUR_US: i64 = 3_600_000_000;

/// A server whose replicas need not wait for each other. The headers in its dumps can be searched for.
fn start() -> Server {
    Server::with(&["--save", "", "--repl-diskless-sync-delay", "0", "--rdbcompression", "no"])
}

fn lease(client: &mut Client, key: &str) -> i64 {
    client.ask(&format!("CACHE.GETORLOCK {key} LEASE 290000")).token()
}

/// The holder's fill lands here, wakes who waits here, and new tokens are larger.
fn assert_rebuild_goes_on(server: &Server, key: &str, token: i64) {
    let (mut client, mut waiter) = (server.client(), server.client());
    server.park(&mut waiter, &format!("CACHE.GETORLOCK {key} BLOCK 0"));
    assert!(client.run(&format!("CACHE.FILL {key} {token} html")).is_ok(), "{key}");
    assert!(waiter.read().triple().is("HIT", Some("html")), "{key}");
    let next = client.ask(&format!("CACHE.GETORLOCK {key}-next")).token();
    assert!(next > token, "{key}: {next} after {token}");
}

fn assert_unharmed(server: &mut Server) {
    assert!(server.is_alive());
    assert_eq!((server.info("corral_waiters"), server.info("corral_panics_caught")), (0, 0));
}

fn has_role(server: &Server, role: &str) -> bool {
    server.client().run("INFO replication").text().contains(&format!("role:{role}\r"))
}

/// The two change places, and then change back: clients are parked on each while it is the master.
#[test]
fn a_coordinated_failover_tells_who_is_parked_and_keeps_every_lease() {
    let first = start();
    let mut nodes = [first.replica(), first];
    let mut highest = 0;
    for turn in 0..2 {
        nodes.swap(0, 1);
        let [master, replica] = &nodes;
        master.knows_its_replica();
        let mut holder = master.client();
        let (held, tied) = (format!("held{turn}"), format!("tied{turn}"));
        let token = lease(&mut holder, &held);
        let mut tied_holder = master.client();
        let tied_token = tied_holder.ask(&format!("CACHE.GETORLOCK {tied} TIED LEASE 290000")).token();
        let mut waiters = master.clients(2 * PARKED);
        master.park_all(&mut waiters[..PARKED], &format!("CACHE.GETORLOCK {held} BLOCK 0"));
        master.park_all(&mut waiters[PARKED..], &format!("CACHE.GETORLOCK {tied} BLOCK 0"));
        // One handover after the other until writes are held back.
        let mut chain = master.clients(300);
        let call = format!("CACHE.GETORLOCK chain{turn} LEASE 3");
        let mut granted = vec![holder.ask(&call).token()];
        chain.iter_mut().for_each(|waiter| waiter.send(&format!("{call} BLOCK 0")));

        assert!(holder.run(&format!("FAILOVER TO 127.0.0.1 {}", replica.port)).is_ok());
        for waiter in &mut waiters {
            let told = waiter.read();
            assert!(told.error().starts_with("UNBLOCKED "), "{told:?}");
        }
        for waiter in &mut chain {
            match waiter.read() {
                // Not parked yet when the roles changed.
                Reply::Error(sentence) => {
                    assert!(sentence.starts_with("UNBLOCKED ") || sentence.starts_with("READONLY "), "{sentence}");
                }
                reply => granted.push(reply.triple().token()),
            }
        }
        eventually("the roles have changed", || has_role(replica, "master") && has_role(master, "slave"));
        let refused = holder.run(&format!("CACHE.FILL {held} {token} html"));
        assert!(refused.error().starts_with("READONLY "), "{refused:?}");
        // Its connection to the old master says nothing about the lease at the new one.
        tied_holder.hang_up();
        highest = granted.iter().copied().fold(highest, i64::max);
        let next = replica.client().until(&call, "LOCK").token();
        assert!(next > highest.max(token).max(tied_token), "{next} after {highest}");
        highest = next;
        assert_rebuild_goes_on(replica, &held, token);
        // A promoted server knows the connection of no tied lease: it ends, and its late fill lands if nobody took over.
        let mut client = replica.client();
        eventually("the tie has ended", || client.ask(&format!("CACHE.GET {tied}")).number == 0);
        assert!(client.run(&format!("CACHE.FILL {tied} {tied_token} html")).is_ok());
    }
    nodes.iter_mut().for_each(assert_unharmed);
}

#[test]
fn a_replica_promoted_by_hand_leaves_the_old_masters_waiters_with_their_holder() {
    let mut master = start();
    let mut replica = master.replica();
    let (mut holder, mut client) = (master.client(), replica.client());
    let token = lease(&mut holder, "page");
    let mut waiters = master.clients(PARKED);
    master.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
    replica.catch_up_with(&master);
    assert!(client.run("REPLICAOF NO ONE").is_ok());
    // Two masters now: the fill counts on either, and the waiters of each are answered there.
    assert_rebuild_goes_on(&replica, "page", token);
    assert!(waiters.iter().all(|waiter| !waiter.has_reply()));
    // The old master follows the new one: the usual repair.
    assert!(holder.run(&format!("REPLICAOF 127.0.0.1 {}", replica.port)).is_ok());
    for waiter in &mut waiters {
        let told = waiter.read();
        assert!(told.error().starts_with("UNBLOCKED "), "{told:?}");
    }
    master.catch_up_with(&replica);
    assert!(master.client().ask("CACHE.GET page").is("HIT", Some("html")));
    assert_unharmed(&mut master);
    assert_unharmed(&mut replica);
}

#[test]
fn sentinels_elect_a_master_where_the_holders_fill_works() {
    let mut master = start();
    let mut replicas = [master.replica(), master.replica()];
    let sentinels = Sentinels::watch(&master, replicas.len());
    let mut holder = master.client();
    let tokens = ["a", "b", "c"].map(|key| (key, lease(&mut holder, key)));
    let mut waiters = master.clients(PARKED);
    master.park_all(&mut waiters, "CACHE.GETORLOCK a BLOCK 0");
    replicas.iter().for_each(|replica| replica.catch_up_with(&master));
    let old = master.port;
    master.kill();
    for waiter in &mut waiters {
        assert_eq!(waiter.read(), Reply::Closed);
    }
    eventually("a new master is elected", || sentinels.master() != old);
    let elected = usize::from(replicas[1].port == sentinels.master());
    let new = &replicas[elected];
    eventually("it has its role", || has_role(new, "master"));
    let mut client = new.client();
    let highest = tokens.iter().map(|(_, token)| *token).max().unwrap();
    assert!(lease(&mut client, "new") > highest);
    for (key, token) in tokens {
        assert_rebuild_goes_on(new, key, token);
    }
    let other = &replicas[1 - elected];
    let attached = format!("master_port:{}\r", new.port);
    eventually("the other replica follows", || other.client().run("INFO replication").text().contains(&attached));
    other.catch_up_with(new);
    assert!(other.client().ask("CACHE.GET a").is("HIT", Some("html")));
    replicas.iter_mut().for_each(assert_unharmed);
}

/// To the new master, a token that it got from a clock one hour ahead of its own is what it would be if its own were an
/// hour behind.
#[test]
fn tokens_grow_on_a_new_master_that_saw_tokens_from_an_hour_ahead() {
    let master = start();
    let mut client = master.client();
    let token = lease(&mut client, "page");
    let ahead = token + HOUR_US;
    let payload = forged(&dump(&mut client, "page"), &wide(token), 0, ahead);

    // One replica sees it happen, one joins while the lease is out; both see what the master grants after it.
    let watching = master.replica();
    assert!(restore(&mut client, "page", &payload).is_ok());
    let joined = master.replica();
    let later = lease(&mut client, "later");
    assert!(later > ahead, "{later}");
    for replica in [&watching, &joined] {
        replica.catch_up_with(&master);
        let mut client = replica.client();
        assert!(client.run("REPLICAOF NO ONE").is_ok());
        let next = lease(&mut client, "next");
        assert!(next > later, "{next} after {later}");
        assert_rebuild_goes_on(replica, "later", later);
        assert_rebuild_goes_on(replica, "page", ahead);
    }
}

#[test]
fn tokens_grow_on_a_new_master_whose_clock_is_an_hour_behind() {
    let Some(clock) = Clock::ahead_by(-3600) else { return };
    let (master, mut behind) = (start(), Server::with_clock(&clock));
    let seconds = |server: &Server| server.client().run("TIME").list()[0].text().parse::<i64>().unwrap();
    let lag = seconds(&master) - seconds(&behind);
    assert!((3500..3700).contains(&lag), "its clock is {lag} s behind");
    assert!(behind.client().run(&format!("REPLICAOF 127.0.0.1 {}", master.port)).is_ok());
    behind.catch_up_with(&master);
    let mut holder = master.client();
    let token = lease(&mut holder, "page");
    behind.catch_up_with(&master);
    assert!(behind.client().run("REPLICAOF NO ONE").is_ok());
    let next = lease(&mut behind.client(), "next");
    assert!(next > token, "{next} after {token}");
    assert_rebuild_goes_on(&behind, "page", token);
    assert_unharmed(&mut behind);
}
