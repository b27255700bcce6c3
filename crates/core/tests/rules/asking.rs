//! CACHE.GETORLOCK: the decision.

use corral_core::node::Form;
use corral_core::node::{Parking, Writes};

use crate::world::{place, World};

#[test]
fn the_first_who_finds_nothing_is_granted_and_others_are_told_to_wait() {
    let mut w = World::new();
    assert_eq!(w.ask(1, "k", "LEASE 100"), "LOCK");
    assert_eq!(w.ask(2, "k", ""), "WAIT 100");
    w.pass(30);
    assert_eq!(w.ask(2, "k", ""), "WAIT 70");
    assert_eq!(w.ask(3, "k", "BLOCK 0"), "parked");
    assert_eq!(w.fill(1, "k", "v", "PX 500"), "OK");
    w.settle();
    assert_eq!(w.told(3), "HIT v 500");
    assert_eq!(w.ask(2, "k", ""), "HIT v 500");
    assert_eq!(w.get("k"), "HIT v 500");
}

#[test]
fn a_string_is_a_hit_and_another_type_an_error() {
    let mut w = World::new();
    w.set_string("s", "text");
    w.set_expiry("s", Some(70));
    w.set_other("o");
    assert_eq!(w.ask(1, "s", "FORCE NOSTALE"), "HIT (string) 70");
    assert!(w.ask(1, "o", "").starts_with("WRONGTYPE"));
}

#[test]
fn a_stale_value_is_refreshed_by_one_and_served_to_the_others() {
    let mut w = World::new();
    assert_eq!(w.set("k", "v", "PX 100 SWR 1000"), "OK");
    w.pass(150);
    assert_eq!(w.ask(1, "k", "LEASE 50"), "REFRESH v");
    assert_eq!(w.ask(2, "k", "BLOCK 0"), "STALE v 50");
    assert_eq!(w.ask(3, "k", "NOSTALE"), "WAIT 50");
    assert_eq!(w.ask(4, "k", "NOSTALE BLOCK 20"), "parked");
    w.pass(20);
    assert_eq!(w.told(4), "WAIT 30");
    w.pass(30);
    assert_eq!(w.ask(3, "k", "NOSTALE"), "LOCK");
}

#[test]
fn force_asks_for_the_lease_of_a_fresh_value_and_with_nostale_waits_for_the_one_out() {
    let mut w = World::new();
    w.set("k", "old", "PX 1000");
    assert_eq!(w.ask(1, "k", "FORCE LEASE 100"), "REFRESH old");
    assert_eq!(w.ask(2, "k", "FORCE"), "HIT old 1000");
    assert_eq!(w.ask(3, "k", "FORCE NOSTALE"), "WAIT 100");
    assert_eq!(w.ask(4, "k", "FORCE NOSTALE BLOCK 0"), "parked");
    assert_eq!(w.ask(5, "k", "NOSTALE"), "HIT old 1000");
    w.fill(1, "k", "new", "PX 1000");
    w.settle();
    assert_eq!(w.told(4), "HIT new 1000");
}

#[test]
fn under_a_pass_mark_only_force_is_granted_and_its_fill_ends_the_mark() {
    let mut w = World::new();
    w.ask(1, "k", "");
    assert_eq!(w.pass_on(1, "k", Some(500)), "OK");
    assert_eq!(w.ask(2, "k", "BLOCK 0"), "PASS 500");
    assert_eq!(w.ask(1, "k", "FORCE"), "LOCK");
    assert_eq!(w.ask(2, "k", "FORCE"), "PASS 500");
    w.fill(1, "k", "v", "PX 100");
    assert_eq!(w.ask(2, "k", ""), "HIT v 100");
}

#[test]
fn an_early_refresh_needs_a_draw_a_build_time_and_no_lease() {
    let mut w = World::new();
    w.ask(1, "k", "");
    w.pass(100);
    w.fill(1, "k", "v", "PX 1000");
    w.server.random = Some(0.01);
    w.pass(700);
    assert_eq!(w.ask(2, "k", ""), "HIT v 300");
    assert_eq!(w.ask(2, "k", "EARLY 1"), "REFRESH v");
    assert_eq!(w.ask(3, "k", "EARLY 1"), "HIT v 300");
    assert_eq!(w.node.counters.early_refreshes, 1);
}

#[test]
fn tied_needs_a_connection_and_notify_database_0() {
    let mut w = World::new();
    assert!(w.ask(0, "k", "TIED").starts_with("ERR TIED"));
    assert!(w.ask_at(1, &(1, b"k".to_vec()), "NOTIFY").starts_with("ERR NOTIFY"));
    assert!(!w.has("k"));
    w.node.settings.tied_default = true;
    assert_eq!(w.ask(0, "k", ""), "LOCK", "a default is no order");
    assert!(!w.entry("k").unwrap().lease().unwrap().is_tied);
}

#[test]
fn who_may_not_be_parked_is_told_to_wait_and_counted_by_reason() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    for (parking, reasons) in [(Parking::Denied, 0), (Parking::Memory, 1), (Parking::Clients, 2)] {
        w.server.parking = parking;
        assert_eq!(w.ask(2, "k", "BLOCK 0"), "WAIT 100");
        assert_eq!(w.node.counters.waiters_refused, reasons);
    }
    w.server.parking = Parking::Possible;
    w.node.settings.max_waiters_per_key = 1;
    assert_eq!(w.ask(2, "k", "BLOCK 0"), "parked");
    assert_eq!(w.ask(3, "k", "BLOCK 0"), "WAIT 100");
    assert_eq!(w.node.counters.waiters_refused_max_waiters_per_key, 1);
    assert_eq!(w.ask(0, "k", "BLOCK 0"), "WAIT 100", "a script has no connection to park");
    w.node.settings.max_waiters = 1;
    assert_eq!(w.ask(3, "other", ""), "LOCK");
    assert_eq!(w.ask(4, "other", "BLOCK 0"), "WAIT 10000");
    assert_eq!(w.node.counters.waiters_refused_max_waiters, 1);
}

#[test]
fn a_connection_that_holds_the_lease_is_never_parked_behind_itself() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    assert_eq!(w.ask(1, "k", "BLOCK 0"), "WAIT 100");
    assert_eq!(w.renew(1, "k", 100, Some(2)), "100");
    assert_eq!(w.ask(2, "k", "BLOCK 0"), "WAIT 100");
    assert_eq!(w.ask(1, "k", "BLOCK 0"), "parked", "the lease is another connection's by now");
}

#[test]
fn where_the_server_refuses_writes_a_caller_gets_the_old_value_or_the_servers_error() {
    let mut w = World::new();
    w.set("swr", "v", "PX 10 SWR 1000");
    w.set("sie", "v", "PX 10 SIE 1000");
    w.set("fresh", "v", "PX 10000");
    w.pass(20);
    w.server.writes = Writes::Refused((*b"MISCONF disk").into());
    assert_eq!(w.ask(1, "swr", ""), "STALE v 0");
    assert_eq!(w.ask(1, "sie", "BLOCK 0"), "STALE v 0");
    assert_eq!(w.ask(1, "sie", "NOSTALE"), "MISCONF disk");
    assert_eq!(w.ask(1, "none", "BLOCK 0"), "MISCONF disk");
    assert_eq!(w.ask(1, "fresh", "FORCE"), "HIT v 9980");
    assert_eq!(w.ask_as(1, &place("none"), "", Form::Batch), "WAIT 0");
    assert_eq!(w.ask_as(1, &place("swr"), "", Form::Batch), "STALE v 0");
    assert_eq!(w.node.live_leases(), 0);
    w.server.writes = Writes::OutOfMemory((*b"OOM full").into());
    assert_eq!(w.ask(1, "none", ""), "LOCK", "a lease is small");
}

#[test]
fn waiters_whose_lease_ends_while_writes_are_refused_are_decided_like_new_calls() {
    let mut w = World::new();
    w.set("k", "v", "PX 10 SIE 1000");
    w.pass(20);
    w.ask(1, "k", "LEASE 100");
    assert_eq!(w.ask(2, "k", "BLOCK 0"), "parked");
    assert_eq!(w.ask(3, "k", "BLOCK 0 NOSTALE"), "parked");
    w.server.writes = Writes::Refused((*b"NOREPLICAS few").into());
    w.pass(100);
    assert_eq!(w.told(2), "STALE v 0");
    assert_eq!(w.told(3), "NOREPLICAS few");
}

#[test]
fn a_batch_is_never_parked_and_a_key_named_twice_waits_for_itself() {
    let mut w = World::new();
    assert_eq!(w.ask_as(1, &place("a"), "LEASE 50", Form::Batch), "LOCK");
    assert_eq!(w.ask_as(1, &place("a"), "LEASE 50", Form::Batch), "WAIT 50");
}

#[test]
fn no_call_makes_a_lease_longer_than_the_limit() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.ask(2, "k", "BLOCK 0 LEASE 200000");
    w.node.settings.lease_max_ms = 1000;
    w.node.settings.lease_ms = 1000;
    w.release_lease(1, "k");
    assert_eq!(w.told(2), "LOCK");
    assert_eq!(w.entry("k").unwrap().lease().unwrap().length_ms, 1000);
    assert_eq!(w.renew(2, "k", 5000, None), "1000");
    w.pass(600);
    assert_eq!(w.renew(2, "k", 5000, None), "400");
}
