//! Versions and floors.

use crate::world::World;

#[test]
fn outdate_answers_the_floor_and_makes_a_smaller_version_stale() {
    let mut w = World::new();
    w.set("k", "v", "PX 1000 SWR 1000 VERSION 5");
    assert_eq!(w.outdate("k", 5, ""), "5");
    assert_eq!(w.get("k"), "HIT v 1000");
    assert_eq!(w.outdate("k", 7, ""), "7");
    assert_eq!(w.get("k"), "STALE v 0");
    assert_eq!(w.outdate("k", 6, ""), "7");
    w.set("unversioned", "v", "PX 1000 SWR 1000");
    w.outdate("unversioned", 0, "");
    assert_eq!(w.get("unversioned"), "STALE v 0");
    w.set_string("s", "text");
    assert!(w.outdate("s", 1, "").starts_with("WRONGTYPE"));
}

#[test]
fn a_floor_is_kept_until_the_later_end_with_or_without_a_value() {
    let mut w = World::new();
    assert_eq!(w.outdate("k", 7, "PX 500"), "7");
    w.outdate("k", 3, "PX 100");
    w.pass(499);
    assert_eq!(w.set("k", "v", "VERSION 6"), "nil");
    w.pass(1);
    assert_eq!(w.set("k", "v", "VERSION 6"), "OK");
}

#[test]
fn what_is_below_the_floor_or_the_kept_version_is_behind() {
    let mut w = World::new();
    w.set("k", "v", "PX 1000 VERSION 5");
    assert_eq!(w.set("k", "w", "VERSION 4"), "nil");
    assert_eq!(w.get("k"), "HIT v 1000");
    assert_eq!(w.set("k", "w", "VERSION 5"), "OK");
    assert_eq!(w.set("k", "x", ""), "OK", "without a floor, none is behind");
    w.outdate("k", 9, "");
    assert_eq!(w.set("k", "y", ""), "nil", "under a floor, none is behind");
    assert_eq!(w.node.counters.behind_fills, 2);
}

#[test]
fn a_fill_of_a_source_that_moved_on_has_who_waits_decided_again_without_a_back_off() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000");
    w.ask(2, "k", "BLOCK 0");
    w.outdate("k", 7, "");
    w.ask(3, "k", "BLOCK 0");
    w.ask(4, "k", "BLOCK 0");
    assert_eq!(w.fill(1, "k", "v", "VERSION 6"), "nil");
    w.settle();
    assert_eq!(w.told(2), "HIT v -1", "it asked before the floor");
    assert_eq!((w.told(3), w.told(4)), ("LOCK".to_string(), "waits".to_string()));
    assert_eq!(w.fill(3, "k", "w", "VERSION 7"), "OK");
}

#[test]
fn a_fill_of_a_source_that_lags_is_a_failure_of_the_key() {
    let mut w = World::new();
    w.outdate("k", 7, "");
    w.ask(1, "k", "LEASE 1000");
    w.ask(2, "k", "BLOCK 0");
    assert_eq!(w.fill(1, "k", "v", "VERSION 6"), "nil");
    w.settle();
    assert_eq!(w.told(2), "FAIL the source is behind 1000");
    assert_eq!(w.ask(3, "k", ""), "FAIL the source is behind 1000");
}

#[test]
fn a_kept_value_of_a_later_version_is_as_good_as_a_floor() {
    let mut w = World::new();
    w.set("k", "v", "PX 10 SWR 1000 VERSION 7");
    w.pass(10);
    w.ask(1, "k", "NOSTALE");
    w.ask(2, "k", "BLOCK 0 NOSTALE");
    assert_eq!(w.fill(1, "k", "old", "VERSION 6"), "nil");
    w.settle();
    assert_eq!(w.told(2), "FAIL the source is behind 1000");
    assert_eq!(w.get("k"), "STALE v 0");
}

#[test]
fn a_lagging_source_is_no_failure_of_its_group() {
    let mut w = World::grouped("g fails 1");
    w.outdate("k", 7, "");
    w.ask(1, "k", "GROUP g");
    assert_eq!(w.fill(1, "k", "v", "VERSION 6"), "nil");
    assert_eq!(w.ask(2, "other", "GROUP g"), "LOCK");
}

#[test]
fn a_hot_row_is_never_told_fail() {
    let mut w = World::new();
    let mut told = Vec::new();
    let mut holder = None;
    for tick in 0..200_u64 {
        w.outdate("k", tick, "");
        let reply = w.ask(1000 + tick, "k", "BLOCK 0 LEASE 1000");
        if reply == "LOCK" {
            holder = Some((1000 + tick, tick));
        }
        if let Some((client, began)) = holder {
            if tick == began + 5 {
                w.fill(client, "k", "row", &format!("PX 1000 VERSION {began}"));
                w.settle();
                holder = None;
                for waiter in 1000..=1000 + tick {
                    let line = w.told(waiter);
                    if line == "LOCK" {
                        holder = Some((waiter, tick));
                    }
                    told.push(line);
                }
            }
        }
        w.pass(20);
    }
    assert!(told.iter().any(|line| line.starts_with("HIT")) && !told.iter().any(|line| line.starts_with("FAIL")));
}

#[test]
fn del_forgets_the_floor() {
    let mut w = World::new();
    w.outdate("k", 7, "");
    w.del("k");
    assert_eq!(w.set("k", "v", "VERSION 1"), "OK");
}
