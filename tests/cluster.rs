//! Redis Cluster: commands on the wrong node, slots that move under leases and waiters, masters that change.

use std::process::Command;
use std::time::Instant;

use crate::harness::{eventually, key_in, slot_of, Client, Cluster, Reply, Server};

/// Waiters parked on one key.
const PARKED: usize = 20;

/// Takes a lease on a key without a value.
fn lease(client: &mut Client, key: &str) -> i64 {
    client.ask(&format!("CACHE.GETORLOCK {key} LEASE 290000")).token()
}

fn asking(client: &mut Client, line: &str) -> Reply {
    assert!(client.run("ASKING").is_ok());
    client.run(line)
}

/// The holder's fill lands here, wakes who waits here, and new tokens are larger.
fn assert_rebuild_goes_on(server: &Server, key: &str, token: i64) {
    let (mut client, mut waiter) = (server.client(), server.client());
    let info = client.run(&format!("CACHE.INFO {key}"));
    assert_eq!(info.field("lease").field("token").number(), token, "{key}");
    server.park(&mut waiter, &format!("CACHE.GETORLOCK {key} BLOCK 0"));
    assert!(client.run(&format!("CACHE.FILL {key} {token} html")).is_ok(), "{key}");
    assert!(waiter.read().triple().is("HIT", Some("html")), "{key}");
    let next = client.ask(&format!("CACHE.GETORLOCK {key} FORCE")).token();
    assert!(next > token, "{key}: {next} after {token}");
}

fn assert_unharmed(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        assert!(node.is_alive());
        assert_eq!((node.info("corral_waiters"), node.info("corral_panics_caught")), (0, 0));
    }
}

#[test]
fn commands_are_redirected_by_their_keys() {
    let cluster = Cluster::patient(3, 0);
    let (key, other) = (cluster.key_at(0), cluster.key_at(1));
    let mut here = cluster.client(0);
    let token = lease(&mut here, &key);
    let moved = cluster.address("MOVED", slot_of(&key), 0);
    for node in [1, 2] {
        let mut wrong = cluster.client(node);
        for line in [
            format!("CACHE.GETORLOCK {key} BLOCK 0"),
            format!("CACHE.FILL {key} {token} html"),
            format!("CACHE.SET {key} html"),
            format!("CACHE.GET {key}"),
            format!("CACHE.RENEW {key} {token} 1000"),
            format!("CACHE.RELEASE {key} {token}"),
            format!("CACHE.FAIL {key} {token} down"),
            format!("CACHE.PASS {key} {token}"),
            format!("CACHE.TOUCH {key} {token}"),
            format!("CACHE.INVALIDATE {key}"),
            format!("CACHE.MGETORLOCK 2 {{{key}}}a {{{key}}}b"),
            format!("CACHE.INFO {key}"),
        ] {
            assert_eq!(wrong.run(&line).error(), moved, "{line}");
        }
    }
    for line in [format!("CACHE.MGETORLOCK 2 {key} {other}"), format!("CACHE.INVALIDATE {key} {other}")] {
        let refused = here.run(&line);
        assert!(refused.error().starts_with("CROSSSLOT "), "{line}: {refused:?}");
    }
    let tagged = format!("CACHE.MGETORLOCK 2 {{{key}}}a {{{key}}}b");
    assert!(here.run(&tagged).list().iter().all(|triple| triple.triple().is("LOCK", None)));
    assert_rebuild_goes_on(&cluster.nodes[0], &key, token);
}

#[test]
fn a_replica_of_a_cluster_sends_callers_to_its_master_and_reads_on_request() {
    let cluster = Cluster::patient(3, 3);
    let key = cluster.key_at(0);
    cluster.client(0).run(&format!("CACHE.SET {key} html"));
    cluster.nodes[3].catch_up_with(&cluster.nodes[0]);
    let mut reader = cluster.client(3);
    let moved = cluster.address("MOVED", slot_of(&key), 0);
    assert_eq!(reader.run(&format!("CACHE.GET {key}")).error(), moved);
    assert!(reader.run("READONLY").is_ok());
    assert!(reader.ask(&format!("CACHE.GET {key}")).is("HIT", Some("html")));
    assert!(reader.ask(&format!("CACHE.GETORLOCK {key} BLOCK 0")).is("HIT", Some("html")), "a hit is served as GET is");
    let nothing = format!("{{{key}}}nothing");
    assert_eq!(reader.run(&format!("CACHE.GETORLOCK {nothing} BLOCK 0")).error(), moved, "a lease is the master's");
}

#[test]
fn a_lease_moves_with_its_key_and_waiters_of_the_slot_are_told() {
    let mut cluster = Cluster::patient(3, 0);
    let tag = cluster.key_at(0);
    let slot = slot_of(&tag);
    let key = |name: &str| format!("{{{tag}}}{name}");
    let (mut source, mut target) = (cluster.client(0), cluster.client(1));
    let (ask, moved_back) = (cluster.address("ASK", slot, 1), cluster.address("MOVED", slot, 0));

    let held = lease(&mut source, &key("held"));
    let early = lease(&mut source, &key("early"));
    let deleted = lease(&mut source, &key("deleted"));
    source.run(&format!("CACHE.SET {} old", key("forced")));
    let forced = source.ask(&format!("CACHE.GETORLOCK {} FORCE LEASE 290000", key("forced"))).token();
    let mut tied_holder = cluster.client(0);
    let tied = tied_holder.ask(&format!("CACHE.GETORLOCK {} TIED LEASE 290000", key("tied"))).token();
    // A key without an entry can have waiters, too: they stay with the holder whose lease is void.
    let names = ["held", "early", "deleted", "tied"];
    let mut waiters = cluster.nodes[0].clients(names.len() * PARKED);
    for (waiters, name) in waiters.chunks_mut(PARKED).zip(names) {
        cluster.nodes[0].park_all(waiters, &format!("CACHE.GETORLOCK {} BLOCK 0", key(name)));
    }
    source.run(&format!("DEL {}", key("deleted")));

    assert!(target.run(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", cluster.id(0))).is_ok());
    assert!(source.run(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", cluster.id(1))).is_ok());
    assert!(source.ask(&format!("CACHE.GETORLOCK {}", key("held"))).is("WAIT", None), "keys that are here work on");
    assert_eq!(source.run(&format!("CACHE.GETORLOCK {} BLOCK 0", key("new"))).error(), ask);
    assert_eq!(target.run(&format!("CACHE.GETORLOCK {} BLOCK 0", key("new"))).error(), moved_back);
    let new = asking(&mut target, &format!("CACHE.GETORLOCK {} LEASE 290000", key("new"))).triple();
    assert!(new.is("LOCK", None), "{new:?}");

    let started = Instant::now();
    let port = cluster.nodes[1].port.to_string();
    migrate_keys(&mut source, &port, &[key("held"), key("early")]);
    let half = source.run(&format!("CACHE.MGETORLOCK 2 {} {}", key("held"), key("forced")));
    assert!(half.error().starts_with("TRYAGAIN "), "one key is here and one is there: {half:?}");
    assert_eq!(source.run(&format!("CACHE.FILL {} {early} html", key("early"))).error(), ask);
    assert!(asking(&mut target, &format!("CACHE.FILL {} {early} html", key("early"))).is_ok());
    for (waiters, name) in waiters.chunks_mut(PARKED).zip(names).filter(|(_, name)| *name != "tied") {
        for waiter in waiters {
            let told = waiter.read();
            assert!(told.error().starts_with("TRYAGAIN "), "{name}: {told:?}");
            assert_eq!(waiter.run(&format!("CACHE.GETORLOCK {} BLOCK 0", key(name))).error(), ask);
        }
    }
    eprintln!("told after {:?}", started.elapsed());
    assert_eq!(cluster.nodes[0].waiters(&key("tied")), PARKED as i64, "their key is still here");

    migrate_keys(&mut source, &port, &[key("forced"), key("tied")]);
    // The source cannot hand over what is not there any more.
    tied_holder.hang_up();
    for node in [1, 0, 2] {
        let call = format!("CLUSTER SETSLOT {slot} NODE {}", cluster.id(1));
        assert!(cluster.client(node).run(&call).is_ok());
    }
    cluster.agree_on(&tag, 1, &[0, 1, 2]);
    let moved = cluster.address("MOVED", slot, 1);
    for waiter in &mut waiters[3 * PARKED..] {
        assert!(waiter.read().error().starts_with("TRYAGAIN "));
    }
    for waiter in &mut waiters {
        assert_eq!(waiter.run(&format!("CACHE.GETORLOCK {} BLOCK 0", key("held"))).error(), moved);
    }
    for (name, token) in [("held", held), ("new", new.token())] {
        assert_rebuild_goes_on(&cluster.nodes[1], &key(name), token);
    }
    // Its connection was the old node's.
    eventually("the tie has ended", || target.ask(&format!("CACHE.GET {}", key("tied"))).number == 0);
    assert!(target.run(&format!("CACHE.FILL {} {tied} late", key("tied"))).is_ok(), "nobody took over");
    assert!(target.ask(&format!("CACHE.GETORLOCK {}", key("early"))).is("HIT", Some("html")));
    assert!(target.run(&format!("CACHE.FILL {} {forced} html", key("forced"))).is_ok());
    let again = target.ask(&format!("CACHE.GETORLOCK {}", key("deleted"))).token();
    assert!(again > deleted.max(tied));
    assert_eq!(source.run("CACHE.LEASES").list().len(), 0, "nothing is left at the old node");
    assert_unharmed(&mut cluster);
}

fn migrate_keys(source: &mut Client, port: &str, keys: &[String]) {
    let mut call: Vec<&[u8]> = vec![b"MIGRATE", b"127.0.0.1", port.as_bytes(), b"", b"0", b"20000", b"KEYS"];
    call.extend(keys.iter().map(String::as_bytes));
    let reply = source.call(&call);
    assert!(reply.is_ok(), "{reply:?}");
}

#[test]
fn redis_clis_reshard_moves_leases_and_sends_waiters_on() {
    const SLOTS: u16 = 40;
    if Command::new("redis-cli").arg("--version").output().is_err() {
        eprintln!("skipped in part: no redis-cli on this machine");
        return;
    }
    let mut cluster = Cluster::patient(3, 3);
    // The first slots are those that go first.
    let key = key_in(0..SLOTS);
    let staying = cluster.key_at(2);
    let mut source = cluster.client(0);
    let token = lease(&mut source, &key);
    let stays = lease(&mut cluster.client(2), &staying);
    let (mut waiters, mut undisturbed) = (cluster.nodes[0].clients(PARKED), cluster.client(2));
    cluster.nodes[0].park_all(&mut waiters, &format!("CACHE.GETORLOCK {key} BLOCK 0"));
    cluster.nodes[2].park(&mut undisturbed, &format!("CACHE.GETORLOCK {staying} BLOCK 0"));
    let reshard = Command::new("redis-cli")
        .args(["--cluster", "reshard", &format!("127.0.0.1:{}", cluster.nodes[0].port)])
        .args(["--cluster-from", &cluster.id(0), "--cluster-to", &cluster.id(1)])
        .args(["--cluster-slots", &SLOTS.to_string(), "--cluster-yes"])
        .output()
        .unwrap();
    assert!(reshard.status.success(), "{}", String::from_utf8_lossy(&reshard.stdout));
    cluster.agree_on(&key, 1, &[0, 1, 2]);
    let moved = cluster.address("MOVED", slot_of(&key), 1);
    for waiter in &mut waiters {
        let told = waiter.read();
        assert!(told.error().starts_with("TRYAGAIN "), "{told:?}");
        assert_eq!(waiter.run(&format!("CACHE.GETORLOCK {key} BLOCK 0")).error(), moved);
    }
    assert!(!undisturbed.has_reply());
    assert!(cluster.client(2).run(&format!("CACHE.FILL {staying} {stays} html")).is_ok());
    assert!(undisturbed.read().triple().is("HIT", Some("html")));
    assert_rebuild_goes_on(&cluster.nodes[1], &key, token);
    // The target's replica has it all.
    cluster.nodes[4].catch_up_with(&cluster.nodes[1]);
    let mut replica = cluster.client(4);
    replica.run("READONLY");
    assert!(replica.ask(&format!("CACHE.GET {key}")).is("HIT", Some("html")));
    assert_unharmed(&mut cluster);
}

#[test]
fn an_atomic_slot_migration_takes_leases_along_and_sends_waiters_on() {
    let mut cluster = Cluster::patient(3, 3);
    let tag = cluster.key_at(0);
    let slot = slot_of(&tag);
    let key = |name: &str| format!("{{{tag}}}{name}");
    let mut source = cluster.client(0);
    let offered = source.run("CLUSTER HELP").list().iter().any(|line| line.text().starts_with("MIGRATESLOTS"));
    if !offered {
        eprintln!("skipped in part: this server moves slots key by key only");
        return;
    }
    let held = lease(&mut source, &key("held"));
    source.run(&format!("CACHE.SET {} old", key("forced")));
    let forced = source.ask(&format!("CACHE.GETORLOCK {} FORCE LEASE 290000", key("forced"))).token();
    let failed = lease(&mut source, &key("failed"));
    source.run(&format!("CACHE.FAIL {} {failed} down BACKOFF 290000", key("failed")));
    let mut tied = cluster.client(0);
    tied.ask(&format!("CACHE.GETORLOCK {} TIED LEASE 290000", key("tied")));
    tied.ask(&format!("CACHE.GETORLOCK {} TIED LEASE 290000 ONCE 0", key("once")));
    let mut waiters = cluster.nodes[0].clients(PARKED);
    cluster.nodes[0].park_all(&mut waiters, &format!("CACHE.GETORLOCK {} BLOCK 0", key("held")));
    // Leases that keep running out: handovers all through the migration, and while the slot changes hands.
    let mut chain = cluster.nodes[0].clients(400);
    source.ask(&format!("CACHE.GETORLOCK {} LEASE 5", key("chain")));
    chain.iter_mut().for_each(|waiter| waiter.send(&format!("CACHE.GETORLOCK {} BLOCK 0 LEASE 5", key("chain"))));

    let call = format!("CLUSTER MIGRATESLOTS SLOTSRANGE {slot} {slot} NODE {}", cluster.id(1));
    assert!(source.run(&call).is_ok());
    cluster.agree_on(&tag, 1, &[0, 1, 2]);
    let started = Instant::now();
    let moved = cluster.address("MOVED", slot, 1);
    for waiter in &mut waiters {
        let told = waiter.read();
        let code = told.error().split(' ').next().unwrap_or_default();
        assert!(matches!(code, "TRYAGAIN" | "MOVED"), "{told:?}");
        assert_eq!(waiter.run(&format!("CACHE.GETORLOCK {} BLOCK 0", key("held"))).error(), moved);
    }
    eprintln!("told after {:?}", started.elapsed());
    let (mut granted, mut told, mut last) = (0, 0, 0);
    for waiter in &mut chain {
        match waiter.read() {
            Reply::Error(sentence) => {
                let code = sentence.split(' ').next().unwrap_or_default();
                assert!(matches!(code, "TRYAGAIN" | "MOVED"), "{sentence}");
                told += 1;
            }
            reply => {
                last = last.max(reply.triple().token());
                granted += 1;
            }
        }
    }
    eprintln!("{granted} granted before the slot left, {told} told");
    assert_rebuild_goes_on(&cluster.nodes[1], &key("held"), held);
    let mut target = cluster.client(1);
    assert!(target.run(&format!("CACHE.FILL {} {forced} html", key("forced"))).is_ok());
    assert!(target.ask(&format!("CACHE.GETORLOCK {}", key("failed"))).is("FAIL", Some("down")));
    // A tie ends with the server that knew its connection.
    target.until(&format!("CACHE.GETORLOCK {}", key("tied")), "LOCK");
    let unknown = target.until(&format!("CACHE.GETORLOCK {}", key("once")), "FAIL");
    assert!(unknown.is("FAIL", Some("outcome unknown")), "{unknown:?}");
    let next = target.until(&format!("CACHE.GETORLOCK {}", key("chain")), "LOCK").token();
    assert!(next > last.max(failed), "{next} after {last}");
    eventually("nothing is left at the old node", || source.run("CACHE.LEASES").list().is_empty());
    cluster.nodes[4].catch_up_with(&cluster.nodes[1]);
    let mut replica = cluster.client(4);
    replica.run("READONLY");
    assert!(replica.ask(&format!("CACHE.GET {}", key("held"))).is("HIT", Some("html")));
    assert_unharmed(&mut cluster);
}

#[test]
fn when_a_master_dies_its_replica_goes_on_with_its_leases() {
    let mut cluster = Cluster::with(3, 3, 2000);
    let keys: Vec<String> = (0..3).map(|index| format!("{{{}}}{index}", cluster.key_at(0))).collect();
    let mut holder = cluster.client(0);
    let tokens: Vec<i64> = keys.iter().map(|key| lease(&mut holder, key)).collect();
    let mut waiters = cluster.nodes[0].clients(PARKED);
    cluster.nodes[0].park_all(&mut waiters, &format!("CACHE.GETORLOCK {} BLOCK 0", keys[0]));
    cluster.nodes[3].catch_up_with(&cluster.nodes[0]);
    cluster.nodes[0].kill();
    for waiter in &mut waiters {
        assert_eq!(waiter.read(), Reply::Closed);
    }
    cluster.agree_on(&keys[0], 3, &[1, 2, 3]);
    let mut client = cluster.client(3);
    let fresh = client.until(&format!("CACHE.GETORLOCK {{{}}}new", cluster.key_at(0)), "LOCK").token();
    assert!(fresh > tokens.iter().copied().max().unwrap());
    for (key, token) in keys.iter().zip(&tokens) {
        assert_rebuild_goes_on(&cluster.nodes[3], key, *token);
    }
    cluster.nodes.remove(0);
    assert_unharmed(&mut cluster);
}

#[test]
fn a_manual_failover_tells_every_waiter_and_the_lease_lives_on() {
    let mut cluster = Cluster::patient(3, 3);
    let tag = cluster.key_at(0);
    let (held, short) = (format!("{{{tag}}}held"), format!("{{{tag}}}short"));
    let mut holder = cluster.client(0);
    let token = lease(&mut holder, &held);
    let mut waiters = cluster.nodes[0].clients(PARKED);
    cluster.nodes[0].park_all(&mut waiters, &format!("CACHE.GETORLOCK {held} BLOCK 0"));
    // Handovers go on until the old master holds its writes back.
    let mut chain = cluster.nodes[0].clients(400);
    let mut last = holder.ask(&format!("CACHE.GETORLOCK {short} LEASE 5")).token();
    chain.iter_mut().for_each(|waiter| waiter.send(&format!("CACHE.GETORLOCK {short} BLOCK 0 LEASE 5")));

    let started = Instant::now();
    assert!(cluster.client(3).run("CLUSTER FAILOVER").is_ok());
    for waiter in &mut waiters {
        let told = waiter.read();
        let code = told.error().split(' ').next().unwrap_or_default();
        assert!(matches!(code, "UNBLOCKED" | "TRYAGAIN" | "MOVED"), "{told:?}");
    }
    eprintln!("told after {:?}", started.elapsed());
    for waiter in &mut chain {
        match waiter.read() {
            Reply::Error(sentence) => {
                let code = sentence.split(' ').next().unwrap_or_default();
                assert!(matches!(code, "UNBLOCKED" | "TRYAGAIN" | "MOVED"), "{sentence}");
            }
            reply => last = last.max(reply.triple().token()),
        }
    }
    cluster.agree_on(&tag, 3, &[0, 1, 2, 3]);
    let moved = cluster.address("MOVED", slot_of(&tag), 3);
    assert_eq!(holder.run(&format!("CACHE.FILL {held} {token} html")).error(), moved);
    assert_rebuild_goes_on(&cluster.nodes[3], &held, token);
    let next = cluster.client(3).until(&format!("CACHE.GETORLOCK {short}"), "LOCK").token();
    assert!(next > last, "{next} after {last}");
    assert_unharmed(&mut cluster);
}

#[test]
fn when_the_cluster_is_down_waiters_are_told_and_once() {
    let mut cluster = Cluster::with(3, 0, 1500);
    let key = cluster.key_at(0);
    let token = lease(&mut cluster.client(0), &key);
    let mut waiters = cluster.nodes[0].clients(PARKED);
    cluster.nodes[0].park_all(&mut waiters, &format!("CACHE.GETORLOCK {key} BLOCK 0"));
    // Alone, the third serves nobody: the majority might have given its slots away.
    cluster.nodes.drain(1..);
    for waiter in &mut waiters {
        let told = waiter.read();
        let code = told.error().split(' ').next().unwrap_or_default();
        assert!(matches!(code, "TRYAGAIN" | "CLUSTERDOWN"), "{told:?}");
        assert_eq!(waiter.run("PING").text(), "PONG", "no second answer");
        let refused = waiter.run(&format!("CACHE.FILL {key} {token} html"));
        assert!(refused.error().starts_with("CLUSTERDOWN "), "{refused:?}");
    }
    assert_unharmed(&mut cluster);
}
