//! Replicas, failover, loads, swaps: rules 2, 4, 6 and 12.

use corral_core::codec::{self, ValuePart};
use corral_core::lease::Lease;
use corral_core::node::event::Event;
use corral_core::node::loading::{LoadedFrom, LoadedLease};
use corral_core::token::Token;

use crate::world::{name_of, place, Value, World};

fn lease_of(w: &World, key: &str) -> Lease {
    let Value::Entry(entry) = &w.keys[&place(key)].value else { panic!("{key} holds no entry") };
    entry.lease().unwrap().clone()
}

/// The server reads a key with this lease.
fn load(w: &mut World, key: &str, lease: &Lease, from: LoadedFrom) {
    let (name, lease, youngest) = (name_of(&place(key)), Some(lease.clone()), Some(lease.token));
    w.event(Event::Loaded(LoadedLease { db: 0, name, lease, youngest, from }));
}

#[test]
fn a_replica_holds_the_same_after_each_step() {
    let mut w = World::grouped("g max 2");
    w.attach_replica();
    let steps: [&dyn Fn(&mut World); 16] = [
        &|w| drop(w.ask(1, "k", "LEASE 100 GROUP g TIED")),
        &|w| drop(w.fill(1, "k", "v", "PX 100 SWR 100 SIE 500 TAGS 2 a b VERSION 7")),
        &|w| drop(w.outdate("k", 9, "PX 1000")),
        &|w| drop(w.ask(1, "k", "LEASE 100 ONCE 500")),
        &|w| drop(w.touch(1, "k", "PX 100 VERSION 9")),
        &|w| drop(w.ask(1, "k", "FORCE LEASE 100")),
        &|w| drop(w.fail(1, "k", "down", Some(50))),
        &|w| w.mark(&["a"], Some(5)),
        &|w| w.pass(60),
        &|w| drop(w.ask(1, "k", "LEASE 100 TIED")),
        &|w| w.close(1),
        &|w| w.settle(),
        &|w| drop(w.ask(2, "k", "LEASE 100")),
        &|w| drop(w.pass_on(2, "k", Some(100))),
        &|w| drop(w.invalidate("k")),
        &|w| drop(w.set("k", "w", "PX 100")),
    ];
    for step in steps {
        step(&mut w);
        w.assert_replica_is_equal();
    }
}

#[test]
fn a_replica_serves_fresh_values_and_strings_and_grants_nothing() {
    let mut w = World::new();
    w.set("k", "v", "PX 100 SWR 1000");
    w.set_string("s", "text");
    w.become_replica();
    assert_eq!(w.ask(1, "k", "FORCE"), "HIT v 100");
    assert_eq!(w.ask(1, "s", ""), "HIT (string) -1");
    assert!(w.ask(1, "none", "BLOCK 0").starts_with("READONLY"));
    w.pass(100);
    assert!(w.ask(1, "k", "").starts_with("READONLY"));
}

#[test]
fn whoever_waits_is_told_when_the_server_stops_being_the_master() {
    let mut w = World::new();
    for number in 0..500_u64 {
        let key = format!("k{number}");
        w.ask(number * 2 + 1, &key, "");
        w.ask(number * 2 + 2, &key, "BLOCK 0");
    }
    w.become_replica();
    w.settle();
    for number in 0..500_u64 {
        assert!(w.told(number * 2 + 2).starts_with("UNBLOCKED"));
    }
}

#[test]
fn the_holders_fill_works_on_the_new_master_and_tied_leases_end_there() {
    let mut w = World::new();
    w.attach_replica();
    w.ask(1, "plain", "LEASE 1000");
    w.ask(2, "tied", "LEASE 1000 TIED");
    w.fail_over();
    w.settle();
    assert_eq!(w.ask(3, "plain", ""), "WAIT 1000");
    assert_eq!(w.fill(1, "plain", "v", ""), "OK");
    assert_eq!(w.ask(3, "tied", ""), "LOCK");
    assert_eq!(w.fill(2, "tied", "v", ""), "nil");
}

#[test]
fn leases_known_from_a_master_hold_permits_after_a_failover() {
    let mut w = World::grouped("g max 2 fails 1 cool-ms 100000");
    w.attach_replica();
    w.ask(1, "a", "GROUP g LEASE 1000");
    w.ask(2, "b", "GROUP g LEASE 2000");
    w.fail_over();
    w.configure("g max 2 fails 1 cool-ms 100000");
    assert_eq!(w.ask(3, "c", "GROUP g"), "WAIT 1000");
    w.fill(2, "b", "v", "");
    assert_eq!(w.ask(3, "c", "GROUP g"), "LOCK");
}

#[test]
fn a_deadline_that_passes_on_a_replica_is_told_there_and_nothing_is_written() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.become_replica();
    w.take_events();
    w.pass(100);
    assert_eq!(w.take_events(), ["cache.expire k"]);
    assert!(w.entry("k").unwrap().lease().is_some());
}

#[test]
fn connections_that_close_on_a_replica_leave_ties_that_end_after_the_promotion() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000 TIED");
    w.become_replica();
    w.settle();
    w.close(1);
    w.pass(10);
    w.become_master();
    w.settle();
    assert_eq!(w.get("k"), "MISS 0");
}

#[test]
fn tokens_from_elsewhere_count_as_seen_but_for_the_far_future() {
    let mut w = World::new();
    let us = w.wall_us;
    let load = |w: &mut World, token: u64| {
        let youngest = Token::new(token);
        let name = name_of(&place("x"));
        w.event(Event::Loaded(LoadedLease { db: 0, name, lease: None, youngest, from: LoadedFrom::DataSet }));
    };
    load(&mut w, us + 1_000_000);
    w.ask(1, "a", "");
    assert_eq!(w.token(1, "a").get(), us + 1_000_001);
    load(&mut w, Token::MAX);
    w.ask(1, "b", "");
    assert_eq!(w.token(1, "b").get(), us + corral_core::token::FAR_FUTURE_US + 1);
}

#[test]
fn waiters_live_through_a_reload_with_their_lease_and_without() {
    let mut w = World::new();
    w.ask(1, "kept", "LEASE 1000");
    w.ask(2, "kept", "BLOCK 0");
    w.ask(3, "lost", "LEASE 1000");
    w.ask(4, "lost", "BLOCK 0");
    w.event(Event::LoadBegan { beside: false });
    w.keys.remove(&place("lost"));
    let kept = lease_of(&w, "kept");
    load(&mut w, "kept", &kept, LoadedFrom::DataSet);
    w.event(Event::LoadEnded { beside: false, succeeded: true });
    w.settle();
    assert_eq!(w.fill(1, "kept", "v", ""), "OK");
    w.settle();
    assert_eq!(w.told(2), "HIT v -1");
    w.pass(1000);
    assert_eq!(w.told(4), "LOCK");
}

/// A full synchronisation with `repl-diskless-load swapdb`.
#[test]
fn a_data_set_that_was_loaded_beside_the_present_one_is_taken_over_in_slices() {
    const KEYS: u64 = 3000;
    let mut w = World::new();
    for number in 0..KEYS {
        w.ask(1, &format!("old{number}"), "LEASE 100000");
    }
    w.ask(1, "kept", "LEASE 100000");
    let (kept, lease) = (w.keys[&place("kept")].clone(), lease_of(&w, "kept"));
    w.become_replica();
    w.event(Event::LoadBegan { beside: true });
    let mut keys: Vec<String> = (0..KEYS).map(|number| format!("new{number}")).collect();
    keys.push("kept".to_owned());
    for key in &keys {
        load(&mut w, key, &lease, LoadedFrom::DataSetBeside);
    }
    assert_eq!(w.node.live_leases(), KEYS + 1, "the present one serves");
    w.keys.clear();
    w.keys.extend(keys.iter().take(10).map(|key| (place(key), kept.clone())));
    w.keys.insert(place("kept"), kept);
    w.event(Event::LoadEnded { beside: true, succeeded: true });
    w.turn();
    assert!(w.node.live_leases() > KEYS / 2, "{} after one turn", w.node.live_leases());
    w.pass(1000);
    assert_eq!(w.node.live_leases(), 11);
}

/// The server says that it loads beside, and loads in the present one's place: the master's history is new to it.
#[test]
fn a_load_that_was_announced_beside_and_comes_in_place_keeps_what_it_brought() {
    let mut w = World::new();
    w.ask(1, "old", "LEASE 100000");
    w.ask(1, "new", "LEASE 100000");
    let lease = lease_of(&w, "new");
    w.become_replica();
    w.event(Event::LoadBegan { beside: true });
    w.event(Event::LoadBegan { beside: false });
    load(&mut w, "new", &lease, LoadedFrom::DataSet);
    w.event(Event::LoadEnded { beside: false, succeeded: true });
    w.event(Event::LoadEnded { beside: true, succeeded: true });
    w.keys.remove(&place("old"));
    w.pass(1000);
    assert_eq!(w.node.live_leases(), 1);
}

/// Valkey 9 empties its databases after it said that it loads.
#[test]
fn a_flush_before_the_first_key_of_a_load_voids_nothing_of_it() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000");
    w.event(Event::LoadBegan { beside: false });
    w.event(Event::Flushed { db: None });
    let lease = lease_of(&w, "k");
    load(&mut w, "k", &lease, LoadedFrom::DataSet);
    w.event(Event::LoadEnded { beside: false, succeeded: true });
    w.settle();
    assert_eq!(w.ask(2, "k", ""), "WAIT 1000");
    assert_eq!(w.fill(1, "k", "v", ""), "OK");
}

#[test]
fn a_restored_lease_is_listed_and_a_tied_one_has_no_connection() {
    let mut w = World::new();
    w.ask(1, "plain", "LEASE 1000");
    w.ask(1, "tied", "LEASE 1000 TIED");
    for key in ["plain", "tied"] {
        let stored = w.keys[&place(key)].clone();
        w.del(key);
        let Value::Entry(entry) = &stored.value else { panic!() };
        let (lease, name) = (entry.lease().cloned(), name_of(&place(key)));
        w.keys.insert(place(key), stored);
        let from = LoadedFrom::Payload { is_settled: false };
        w.event(Event::Loaded(LoadedLease { db: 0, name, lease, youngest: None, from }));
    }
    w.settle();
    assert_eq!(w.node.live_leases(), 1);
    assert_eq!(w.ask(2, "plain", ""), "WAIT 1000");
    assert_eq!(w.ask(2, "tied", ""), "LOCK");
}

/// Of a node whose clock is ahead. The server may still refuse the payload, so its tokens count as seen on the next turn.
#[test]
fn a_mark_that_is_set_right_after_an_arrival_is_younger_than_what_arrived() {
    const HOUR_MS: u64 = 3_600_000;
    for is_at_once in [true, false] {
        let (mut ahead, mut w) = (World::new(), World::new());
        ahead.pass(HOUR_MS);
        ahead.set("k", "old", "PX 36000000 TAGS 1 shop");
        let bytes = codec::encode(ahead.entry("k").unwrap(), ValuePart::Carried, None);
        let header = codec::decode(&bytes).unwrap();
        let youngest = header.youngest_token();
        w.set("k", "other", "PX 36000000");
        let entry = header.into_entry(Some(std::sync::Arc::from(&b"old"[..])), w.node.tags());
        w.keys.get_mut(&place("k")).unwrap().value = Value::Entry(entry);
        let (name, from) = (name_of(&place("k")), LoadedFrom::Payload { is_settled: false });
        w.event(Event::Loaded(LoadedLease { db: 0, name, lease: None, youngest, from }));
        if !is_at_once {
            w.settle();
        }
        assert!(w.get("k").starts_with("HIT old"));
        w.mark(&["shop"], None);
        assert_eq!(w.get("k"), "MISS 0");
        assert_eq!(w.ask(1, "k", ""), "LOCK");
    }
}
