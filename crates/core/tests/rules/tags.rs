//! Tags.

use corral_core::node::event::Event;
use corral_core::node::loading::{LoadedFrom, LoadedLease};

use crate::world::{name_of, place, World};

#[test]
fn a_mark_makes_every_entry_of_its_tag_stale_since_its_moment() {
    let mut w = World::new();
    w.set("k", "v", "PX 10000 SWR 100 TAGS 2 a b");
    w.set("other", "v", "PX 10000 TAGS 1 c");
    w.pass(10);
    w.mark(&["b"], None);
    w.pass(50);
    assert_eq!(w.get("k"), "STALE v 0");
    assert_eq!(w.ask(1, "k", "NOSTALE LEASE 30"), "LOCK");
    w.pass(50);
    assert_eq!(w.get("k"), "MISS 0", "the window began at the mark");
    assert_eq!(w.get("other"), "HIT v 9890");
}

#[test]
fn marks_that_follow_lengthen_no_window_nor_does_the_floor_when_they_are_forgotten() {
    let mut w = World::new();
    w.set("k", "v", "PX 10000 SWR 100 TAGS 1 a");
    w.mark(&["a"], None);
    w.pass(60);
    w.set("later", "v", "PX 10000 SWR 100 TAGS 1 a");
    w.mark(&["a"], None);
    assert_eq!(w.get("k"), "STALE v 0");
    w.pass(60);
    assert_eq!((w.get("k"), w.get("later")), ("MISS 0".to_string(), "STALE v 0".to_string()));

    let mut w = World::new();
    w.node.settings.max_tags = 1;
    w.set("k", "v", "PX 10000 SWR 100 TAGS 1 a");
    w.mark(&["a"], None);
    for other in ["b", "c", "d"] {
        w.pass(30);
        w.mark(&[other], None);
    }
    assert_eq!(w.get("k"), "STALE v 0");
    w.pass(30);
    assert_eq!(w.get("k"), "MISS 0", "the floor rose again and again");
}

#[test]
fn swr_caps_how_long_old_values_serve_and_0_is_the_hard_purge() {
    let mut w = World::new();
    w.set("k", "v", "PX 10000 SWR 5000 SIE 5000 TAGS 1 a");
    w.mark(&["a"], Some(100));
    assert_eq!(w.get("k"), "STALE v 0");
    w.pass(100);
    assert_eq!(w.get("k"), "MISS 0");
    w.set("k", "v", "PX 10000 SWR 5000 TAGS 1 a");
    w.mark(&["a"], Some(0));
    assert_eq!((w.get("k"), w.ask(1, "k", "")), ("MISS 0".to_string(), "LOCK".to_string()));
}

#[test]
fn a_live_lease_older_than_the_mark_is_void_and_who_asks_afterwards_is_granted() {
    let mut w = World::new();
    w.set("k", "v", "PX 10 SWR 5000 TAGS 1 a");
    w.pass(10);
    w.ask(1, "k", "LEASE 1000");
    w.mark(&["a"], None);
    assert_eq!(w.ask(2, "k", "LEASE 1000"), "REFRESH v");
    assert_eq!(w.fill(1, "k", "old", ""), "nil");
    assert_eq!(w.fill(2, "k", "new", "TAGS 1 a"), "OK");
    assert_eq!(w.get("k"), "HIT new -1");
}

#[test]
fn a_fill_older_than_a_mark_of_a_tag_given_or_kept_is_void_and_its_lease_ends() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000");
    w.mark(&["a"], None);
    assert_eq!(w.fill(1, "k", "v", "TAGS 2 z a"), "nil");
    assert!(!w.has("k"));
    assert_eq!(w.ask(1, "k", ""), "LOCK");
    assert_eq!(w.fill(1, "k", "v", "PX 10 SWR 1000 TAGS 1 a"), "OK");
    w.pass(10);
    w.ask(1, "k", "");
    w.mark(&["a"], None);
    assert_eq!(w.touch(1, "k", "PX 10"), "nil");
    assert_eq!(w.get("k"), "STALE v 0");
}

#[test]
fn of_those_who_joined_a_void_fill_only_who_asked_before_every_mark_gets_its_value() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000");
    w.ask(2, "k", "BLOCK 0");
    w.mark(&["a"], None);
    w.ask(3, "k", "BLOCK 0");
    w.mark(&["b"], None);
    w.ask(4, "k", "BLOCK 0");
    assert_eq!(w.fill(1, "k", "v", "TAGS 2 a b"), "nil");
    w.settle();
    assert_eq!((w.told(2), w.told(3), w.told(4)), ("HIT v -1".to_string(), "LOCK".to_string(), "waits".to_string()));
}

#[test]
fn hundreds_who_joined_a_void_fill_are_sorted_out_over_turns() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000");
    for client in 2..500 {
        w.ask(client, "k", "BLOCK 0");
        if client == 300 {
            w.mark(&["a"], None);
        }
    }
    assert_eq!(w.fill(1, "k", "v", "TAGS 1 a"), "nil");
    w.settle();
    for client in 2..=300 {
        assert_eq!(w.told(client), "HIT v -1", "{client}");
    }
    assert_eq!(w.told(301), "LOCK");
    w.fill(301, "k", "new", "TAGS 1 a");
    w.settle();
    for client in 302..500 {
        assert_eq!(w.told(client), "HIT new -1");
    }
}

#[test]
fn a_room_that_is_answered_while_it_is_sorted_out_leaves_nothing_behind() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000");
    for client in 2..500 {
        w.ask(client, "k", "BLOCK 0");
    }
    w.mark(&["a"], None);
    w.fill(1, "k", "v", "TAGS 1 a");
    w.set("k", "w", "");
    w.settle();
    let told: Vec<String> = (2..500).map(|client| w.told(client)).collect();
    assert!(told.iter().all(|line| line.starts_with("HIT")));
    assert_eq!(w.node.next_due(), None);
}

#[test]
fn beyond_the_limit_the_oldest_mark_goes_and_the_floor_counts_for_entries_and_fills() {
    let mut w = World::new();
    w.node.settings.max_tags = 1;
    w.set("k", "v", "TAGS 1 unrelated");
    w.ask(1, "l", "LEASE 1000");
    w.mark(&["a"], None);
    assert_eq!(w.get("k"), "HIT v -1");
    w.mark(&["b"], None);
    assert_eq!(w.get("k"), "MISS 0", "forgetting only ever invalidates more");
    assert_eq!(w.fill(1, "l", "v", "TAGS 1 x"), "nil");
    w.ask(1, "m", "");
    assert_eq!(w.fill(1, "m", "v", "TAGS 1 x"), "OK");
    assert_eq!(w.node.tags_kept(), 1);
}

#[test]
fn flushall_forgets_all_marks_and_raises_the_floor() {
    let mut w = World::new();
    w.mark(&["a"], None);
    let marked = w.node.tag_moment(b"a");
    assert_eq!(w.node.tag_moment(b"unknown"), 0);
    w.pass(10);
    w.ask(1, "k", "LEASE 1000");
    w.flush_all();
    w.settle();
    assert_eq!(w.node.tag_moment(b"a"), marked + 10);
    assert_eq!(w.node.tag_moment(b"unknown"), marked + 10);
    assert_eq!((w.node.tags_kept(), w.fill(1, "k", "v", "TAGS 1 q")), (0, "nil".to_string()));
}

#[test]
fn an_entry_that_arrives_is_stale_if_its_tag_was_marked_in_the_minute_before() {
    let mut w = World::new();
    w.mark(&["a"], None);
    w.pass(59_000);
    w.set("k", "v", "PX 1000 SWR 1000 TAGS 1 a");
    let now = w.now();
    let mut arriving = w.entry("k").unwrap().clone();
    w.node.judge_arrival(&mut arriving, now);
    assert!(!arriving.is_fresh(now));
    w.pass(1_001);
    let now = w.now();
    w.set("k", "v", "PX 1000 TAGS 1 a");
    let mut later = w.entry("k").unwrap().clone();
    w.node.judge_arrival(&mut later, now);
    assert!(later.is_fresh(now), "a mark from before that minute says nothing of what was born after it");
}

/// Two nodes' tokens are of two clocks. What this node granted is judged by its own, though it was dumped and restored.
#[test]
fn a_fill_under_another_nodes_lease_is_void_if_its_tag_was_marked_in_the_minute_before_the_grant() {
    for (since_mark, by_another, is_looked_at, filled) in [
        (59_000, true, true, "nil"),
        (59_000, true, false, "nil"),
        (60_001, true, true, "OK"),
        (59_000, false, true, "OK"),
        (59_000, false, false, "OK"),
    ] {
        let (mut w, mut other) = (World::new(), World::new());
        w.mark(&["a"], None);
        w.pass(since_mark);
        other.pass(since_mark);
        let source = if by_another { &mut other } else { &mut w };
        source.ask(1, "k", "LEASE 20000");
        let (token, stored) = (source.token(1, "k"), source.keys[&place("k")].clone());
        let lease = source.entry("k").unwrap().lease().cloned();
        w.keys.insert(place("k"), stored);
        let (name, from) = (name_of(&place("k")), LoadedFrom::Payload { is_settled: false });
        w.event(Event::Loaded(LoadedLease { db: 0, name, lease, youngest: Some(token), from }));
        if is_looked_at {
            w.settle();
        }
        assert_eq!(
            w.fill_with(token, &place("k"), "v", "TAGS 1 a"),
            filled,
            "{since_mark} {by_another} {is_looked_at}"
        );
        if filled == "nil" {
            w.ask(1, "k", "");
            assert_eq!(w.fill(1, "k", "v", "TAGS 1 a"), "OK", "granted here since");
        }
    }
}

#[test]
fn leases_from_before_a_load_are_void_for_tagged_fills() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000");
    let stored = w.keys.clone();
    w.event(Event::LoadBegan { beside: false });
    w.keys = stored;
    w.event(Event::LoadEnded { beside: false, succeeded: true });
    assert_eq!(w.fill(1, "k", "v", "TAGS 1 a"), "nil");
    w.ask(1, "k", "");
    assert_eq!(w.fill(1, "k", "v", "TAGS 1 a"), "OK");
}
