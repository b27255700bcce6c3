//! NOTIFY.

use crate::world::{place, World};

#[test]
fn one_message_tells_all_listeners_what_a_waiter_would_get() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    for client in 2..=9 {
        assert_eq!(w.ask(client, "k", "NOTIFY"), "WAIT 100");
    }
    assert_eq!(w.node.listeners(), 8);
    w.fill(1, "k", "v", "PX 70");
    assert!(w.published.is_empty(), "published by the timer, never inside a command");
    w.settle();
    assert_eq!(w.take_published(), ["k HIT 70"]);
    assert_eq!(w.node.listeners(), 0);
    w.del("k");
    w.settle();
    assert!(w.take_published().is_empty());
}

#[test]
fn failures_and_passes_are_told_and_an_end_without_a_verdict_is_ask_again() {
    let mut w = World::new();
    let ends: [(&str, &dyn Fn(&mut World)); 5] = [
        ("k FAIL 70", &|w| drop(w.fail(1, "k", "m", Some(70)))),
        ("k PASS 80", &|w| drop(w.pass_on(1, "k", Some(80)))),
        ("k WAIT 0", &|w| drop(w.release_lease(1, "k"))),
        ("k WAIT 0", &|w| w.pass(100)),
        ("k WAIT 0", &|w| drop(w.invalidate("k"))),
    ];
    for (message, end) in ends {
        w.ask(1, "k", "LEASE 100");
        w.ask(2, "k", "NOTIFY");
        end(&mut w);
        w.settle();
        assert_eq!(w.take_published(), [message]);
        w.del("k");
        w.settle();
    }
}

#[test]
fn after_a_del_the_message_comes_at_the_deadline_at_the_latest() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.ask(2, "k", "NOTIFY");
    w.del("k");
    w.pass(100);
    assert_eq!(w.take_published(), ["k WAIT 0"]);
}

#[test]
fn a_parked_client_takes_the_lease_and_the_listeners_wait_for_it() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.ask(2, "k", "NOTIFY");
    w.ask(3, "k", "BLOCK 0");
    w.release_lease(1, "k");
    w.settle();
    assert_eq!(w.told(3), "LOCK");
    assert!(w.take_published().is_empty());
    w.fill(3, "k", "v", "");
    w.settle();
    assert_eq!(w.take_published(), ["k HIT -1"]);
}

#[test]
fn with_block_it_counts_where_the_caller_could_not_be_parked() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    assert_eq!(w.ask(2, "k", "NOTIFY BLOCK 10"), "parked");
    w.pass(10);
    assert_eq!(w.node.listeners(), 0, "a BLOCK that ran out leaves no mark");
    w.server.parking = corral_core::node::Parking::Memory;
    assert_eq!(w.ask(2, "k", "NOTIFY BLOCK 10"), "WAIT 90");
    assert_eq!(w.node.listeners(), 1);
}

#[test]
fn beyond_the_limit_no_mark_is_set() {
    let mut w = World::new();
    w.node.settings.max_waiters_per_key = 2;
    w.ask(1, "k", "");
    for client in 2..=5 {
        w.ask(client, "k", "NOTIFY");
    }
    assert_eq!(w.node.listeners(), 2);
    w.node.settings.max_waiters_per_key = 0;
    w.ask(1, "other", "");
    w.ask(2, "other", "NOTIFY");
    assert_eq!(w.node.listeners(), 2);
}

#[test]
fn it_ignores_the_groups_block_time() {
    let mut w = World::grouped("g block-ms 1000");
    w.ask(1, "k", "GROUP g");
    assert_eq!(w.ask(2, "k", "GROUP g"), "parked");
    assert_eq!(w.ask(3, "k", "GROUP g NOTIFY"), "WAIT 10000");
}

#[test]
fn in_a_full_group_a_listener_queues_and_its_permit_is_kept_for_100_ms() {
    let mut w = World::grouped("g max 1");
    w.ask(1, "a", "GROUP g LEASE 500");
    assert_eq!(w.ask(2, "b", "GROUP g NOTIFY"), "WAIT 500");
    assert_eq!(w.ask(3, "c", "GROUP g BLOCK 0"), "parked");
    w.fill(1, "a", "v", "");
    w.settle();
    assert_eq!(w.take_published(), ["b WAIT 0"]);
    assert_eq!(w.told(3), "waits", "the permit is kept for b");
    assert_eq!(w.ask(4, "d", "GROUP g"), "WAIT 0");
    assert_eq!(w.ask(2, "b", "GROUP g LEASE 500"), "LOCK");
    assert_eq!(w.told(3), "waits");
    w.release_lease(2, "b");
    w.settle();
    assert_eq!(w.told(3), "LOCK");
}

#[test]
fn a_permit_kept_for_a_listener_that_does_not_come_goes_to_the_next() {
    let mut w = World::grouped("g max 1");
    w.ask(1, "a", "GROUP g");
    w.ask(2, "b", "GROUP g NOTIFY");
    w.ask(3, "c", "GROUP g BLOCK 0");
    w.fill(1, "a", "v", "");
    w.pass(99);
    assert_eq!(w.told(3), "waits");
    w.pass(1);
    assert_eq!(w.told(3), "LOCK");
}

#[test]
fn a_listener_where_writes_are_refused_is_told_to_ask_again() {
    let mut w = World::new();
    w.server.writes = corral_core::node::Writes::Refused((*b"MISCONF disk").into());
    assert_eq!(w.ask_as(1, &place("k"), "NOTIFY", corral_core::node::Form::Batch), "WAIT 0");
    w.settle();
    assert_eq!(w.take_published(), ["k WAIT 0"]);
}

#[test]
fn a_listener_that_queues_keeps_its_turn_when_a_void_fill_gives_the_permit_back() {
    let mut w = World::grouped("g max 1");
    w.ask(1, "a", "GROUP g LEASE 500");
    w.invalidate("a");
    assert_eq!(w.ask(2, "a", "GROUP g NOTIFY"), "WAIT 500");
    assert_eq!(w.ask(3, "b", "GROUP g BLOCK 0"), "parked");
    assert_eq!(w.fill(1, "a", "v", ""), "nil");
    w.settle();
    assert_eq!(w.take_published(), ["a WAIT 0"]);
    assert_eq!(w.told(3), "waits", "it asked later: the permit is kept for a");
    assert_eq!(w.ask(2, "a", "GROUP g LEASE 500"), "LOCK");
}
