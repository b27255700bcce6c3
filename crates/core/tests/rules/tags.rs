//! Tags.

use corral_core::node::event::Event;
use corral_core::node::loading::{LoadedFrom, LoadedLease};

use crate::world::{name_of, place, Value, World};

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

/// The key comes to this node as RESTORE brings it.
fn bring(w: &mut World, from: &mut World, key: &str) {
    let mut stored = from.keys[&place(key)].clone();
    let Value::Entry(entry) = &mut stored.value else { panic!("no entry") };
    let is_settled = w.node.judge_arrival(entry, w.now());
    let (lease, youngest) = (entry.lease().cloned(), entry.lease().map(|lease| lease.token));
    w.keys.insert(place(key), stored);
    let from = LoadedFrom::Payload { is_settled };
    w.event(Event::Loaded(LoadedLease { db: 0, name: name_of(&place(key)), lease, youngest, from }));
}

/// Two nodes, one of which has marked the tag `a` so many ms ago.
fn marked_and_other(ms_ago: u64) -> (World, World) {
    let (mut w, mut other) = (World::new(), World::new());
    w.mark(&["a"], None);
    w.pass(ms_ago);
    other.pass(ms_ago);
    (w, other)
}

/// Two nodes' tokens are of two clocks.
#[test]
fn a_fill_under_another_nodes_lease_is_void_if_its_tag_was_marked_in_the_minute_before_the_grant() {
    for (since_mark, is_looked_at, tags, filled) in [
        (59_000, true, "TAGS 1 a", "nil"),
        (59_000, false, "TAGS 1 a", "nil"),
        (60_001, true, "TAGS 1 a", "OK"),
        (59_000, true, "TAGS 1 other", "OK"),
        (59_000, true, "", "OK"),
    ] {
        let (mut w, mut other) = marked_and_other(since_mark);
        other.ask(1, "k", "LEASE 20000");
        let token = other.token(1, "k");
        bring(&mut w, &mut other, "k");
        if is_looked_at {
            w.settle();
        }
        assert_eq!(w.fill_with(token, &place("k"), "v", tags), filled, "{since_mark} {is_looked_at} {tags}");
        if filled == "nil" {
            w.ask(1, "k", "");
            assert_eq!(w.fill(1, "k", "v", tags), "OK", "granted here since");
        }
    }
}

#[test]
fn another_nodes_lease_stays_one_when_it_is_renewed_or_late() {
    for (is_late, is_looked_at) in [(false, false), (false, true), (true, true)] {
        let (mut w, mut other) = marked_and_other(1_000);
        other.set("k", "old", "PX 60000");
        other.ask(1, "k", "FORCE LEASE 100");
        let token = other.token(1, "k");
        bring(&mut w, &mut other, "k");
        if is_looked_at {
            w.settle();
        }
        if is_late {
            w.pass(2_000);
        }
        assert_ne!(w.renew_with(token, &place("k"), 5_000, None), "0", "{is_late} {is_looked_at}");
        assert_eq!(w.fill_with(token, &place("k"), "v", "TAGS 1 a"), "nil", "{is_late} {is_looked_at}");
    }
}

#[test]
fn this_nodes_lease_stays_its_own_however_late_and_whatever_comes_under_the_same_token() {
    let (mut w, mut other) = marked_and_other(1_000);
    w.set("late", "old", "PX 60000");
    w.ask(1, "late", "FORCE LEASE 50");
    w.pass(1_000);
    assert_eq!(w.fill(1, "late", "v", "TAGS 1 a"), "OK");
    other.pass(1_000);
    other.wall_us = w.wall_us;
    w.ask(2, "own", "LEASE 20000");
    other.wall_us = w.token(2, "own").get();
    other.ask(2, "twin", "LEASE 20000");
    let twin = other.token(2, "twin");
    assert_eq!(w.token(2, "own"), twin);
    bring(&mut w, &mut other, "twin");
    w.settle();
    assert_eq!(w.fill_with(twin, &place("twin"), "v", "TAGS 1 a"), "nil");
    assert_eq!(w.fill(2, "own", "v", "TAGS 1 a"), "OK");
}

#[test]
fn who_joined_another_nodes_lease_after_the_mark_is_not_given_what_its_void_fill_brings() {
    let (mut w, mut other) = marked_and_other(1_000);
    other.ask(1, "k", "LEASE 20000");
    let token = other.token(1, "k");
    bring(&mut w, &mut other, "k");
    w.settle();
    w.ask(2, "k", "BLOCK 0");
    assert_eq!(w.fill_with(token, &place("k"), "v", "TAGS 1 a"), "nil");
    w.settle();
    assert_eq!(w.told(2), "LOCK");
}

#[test]
fn what_arrives_is_judged_by_forgotten_marks_of_the_minute_too() {
    let (mut w, mut other) = marked_and_other(1_000);
    other.set("entry", "v", "PX 60000 SWR 60000 TAGS 1 a");
    other.ask(1, "lease", "LEASE 20000");
    let token = other.token(1, "lease");
    w.node.settings.max_tags = 1;
    w.mark(&["q"], None);
    w.mark(&["r"], None);
    w.settle();
    assert_eq!(w.node.tags_kept(), 1);
    bring(&mut w, &mut other, "entry");
    bring(&mut w, &mut other, "lease");
    assert_eq!(w.get("entry").split(' ').next(), Some("STALE"));
    assert_eq!(w.fill_with(token, &place("lease"), "v", "TAGS 1 a"), "nil");
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
