//! ONCE: work that must not run twice by itself.

use corral_core::node::Writes;

use crate::world::World;

const UNKNOWN: &str = "FAIL outcome unknown";

#[test]
fn after_its_deadline_nobody_is_promoted_and_everybody_is_refused_for_its_ms() {
    let mut w = World::new();
    w.set("k", "v", "PX 1 SIE 200");
    w.pass(1);
    w.ask(1, "k", "LEASE 100 ONCE 500");
    w.ask(2, "k", "BLOCK 0");
    w.ask(3, "k", "BLOCK 0 NOSTALE");
    w.pass(100);
    assert_eq!((w.told(2), w.told(3)), ("STALE v 0".to_string(), format!("{UNKNOWN} 500")));
    w.pass(200);
    assert_eq!(w.ask(4, "k", "FORCE BLOCK 0"), format!("{UNKNOWN} 300"));
    assert_eq!(w.get("k"), format!("{UNKNOWN} 300"));
    w.pass(300);
    assert_eq!(w.ask(4, "k", ""), "LOCK");
}

#[test]
fn zero_is_without_end_and_the_late_word_lands_and_ends_it() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100 ONCE 0");
    w.pass(10_000_000);
    assert_eq!(w.ask(2, "k", "BLOCK 0"), format!("{UNKNOWN} -1"));
    assert_eq!(w.fill(1, "k", "v", ""), "OK");
    assert_eq!(w.ask(2, "k", ""), "HIT v -1");
}

#[test]
fn release_says_that_the_work_was_not_begun_at_any_time() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100 ONCE 0");
    w.ask(2, "k", "BLOCK 0 ONCE 0 LEASE 100");
    assert_eq!(w.release_lease(1, "k"), "1");
    assert_eq!(w.told(2), "LOCK");
    w.pass(1000);
    assert_eq!(w.ask(3, "k", ""), format!("{UNKNOWN} -1"));
    assert_eq!(w.release_lease(2, "k"), "1");
    assert_eq!(w.ask(3, "k", ""), "LOCK");
}

#[test]
fn a_tie_that_closes_leaves_the_outcome_unknown() {
    let mut w = World::new();
    w.ask(1, "k", "TIED LEASE 1000 ONCE 500");
    w.ask(2, "k", "BLOCK 0");
    w.close(1);
    w.settle();
    assert_eq!(w.told(2), format!("{UNKNOWN} 500"));
    assert_eq!(w.fail(1, "k", "late", Some(50)), "FAIL late 50");
    assert_eq!(w.ask(2, "k", ""), "FAIL late 50");
}

#[test]
fn a_failover_that_ends_a_tie_leaves_the_outcome_unknown() {
    let mut w = World::new();
    w.attach_replica();
    w.ask(1, "k", "TIED LEASE 1000 ONCE 500");
    w.fail_over();
    w.settle();
    assert_eq!(w.ask(2, "k", ""), format!("{UNKNOWN} 500"));
}

#[test]
fn invalidate_or_a_tag_voids_a_live_one_and_the_outcome_is_unknown_at_once() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000 ONCE 500");
    w.ask(2, "k", "BLOCK 0");
    w.invalidate("k");
    assert_eq!(w.ask(3, "k", ""), format!("{UNKNOWN} 500"));
    assert_eq!(w.fill(1, "k", "v", ""), "nil");
    w.settle();
    assert_eq!(w.told(2), "HIT v -1");
    w.set("t", "v", "PX 1 SWR 1000 TAGS 1 a");
    w.pass(1);
    w.ask(1, "t", "LEASE 1000 ONCE 500 NOSTALE");
    w.mark(&["a"], None);
    assert_eq!(w.ask(3, "t", "NOSTALE"), format!("{UNKNOWN} 500"));
    assert_eq!(w.ask(3, "t", ""), "STALE v 0");
}

#[test]
fn it_ends_by_del_set_and_invalidate_without_a_live_lease_and_by_no_tag_or_outdate() {
    let ends: [(&dyn Fn(&mut World), &str); 5] = [
        (&|w| w.del("k"), "LOCK"),
        (&|w| drop(w.set("k", "v", "")), "HIT v -1"),
        (&|w| drop(w.invalidate("k")), "LOCK"),
        (&|w| w.mark(&["a"], None), "FAIL outcome unknown -1"),
        (&|w| drop(w.outdate("k", 7, "")), "FAIL outcome unknown -1"),
    ];
    for (end, told) in ends {
        let mut w = World::new();
        w.set("k", "old", "PX 1 SWR 10 TAGS 1 a");
        w.pass(1);
        w.ask(1, "k", "LEASE 100 ONCE 0");
        w.pass(100);
        end(&mut w);
        w.settle();
        assert_eq!(w.ask(2, "k", ""), told);
    }
}

#[test]
fn an_operator_ends_it_by_invalidating_twice() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000 ONCE 0");
    w.invalidate("k");
    assert_eq!(w.ask(2, "k", ""), format!("{UNKNOWN} -1"));
    w.invalidate("k");
    assert_eq!(w.ask(2, "k", ""), "LOCK");
}

#[test]
fn a_fill_that_the_server_refuses_leaves_the_lease_to_be_tried_again() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000 ONCE 500");
    w.ask(2, "k", "BLOCK 0");
    w.server.writes = Writes::OutOfMemory((*b"OOM full").into());
    assert_eq!(w.fill(1, "k", "v", ""), "OOM full");
    w.settle();
    assert_eq!(w.told(2), "HIT v -1");
    w.server.writes = Writes::Allowed;
    assert_eq!(w.ask(3, "k", ""), "WAIT 1000");
    assert_eq!(w.fill(1, "k", "v", ""), "OK");
}

#[test]
fn a_grant_that_did_not_reach_its_client_is_none() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.ask(2, "k", "BLOCK 0 ONCE 0");
    w.ask(3, "k", "BLOCK 0 ONCE 0");
    w.move_clocks(100_000);
    w.turn();
    w.close(2);
    w.settle();
    assert_eq!(w.told(3), "LOCK");
}

#[test]
fn its_record_lives_as_long_as_the_key() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100 ONCE 5000");
    w.pass(5099);
    assert_eq!(w.fill(1, "k", "v", ""), "OK");
    w.ask(1, "l", "LEASE 100 ONCE 5000");
    w.pass(5100);
    assert!(!w.has("l"));
}
