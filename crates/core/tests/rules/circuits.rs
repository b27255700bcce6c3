//! Circuits.

use corral_core::node::Writes;

use crate::world::World;

fn opened() -> World {
    let mut w = World::grouped("g max 5 fails 2 cool-ms 1000");
    for key in ["x", "y"] {
        w.ask(1, key, "GROUP g");
        w.fail(1, key, "db down", Some(1));
    }
    w.settle();
    w
}

#[test]
fn failures_in_a_row_open_it_and_everybody_is_refused() {
    let mut w = World::grouped("g fails 2 cool-ms 1000");
    w.set("old", "v", "PX 1 SIE 10000");
    w.pass(1);
    w.ask(1, "a", "GROUP g");
    w.fail(1, "a", "first", Some(1));
    w.ask(1, "b", "GROUP g");
    w.fill(1, "b", "v", "");
    w.ask(1, "c", "GROUP g");
    w.fail(1, "c", "second", Some(1));
    assert_eq!(w.ask(2, "d", "GROUP g LEASE 50"), "LOCK", "not in a row");
    w.pass(50);
    assert_eq!(w.ask(3, "e", "GROUP g BLOCK 0"), "FAIL circuit open: a lease expired 1000");
    assert_eq!(w.ask(3, "old", "GROUP g"), "STALE v 0");
    assert_eq!(w.ask(3, "b", "GROUP g FORCE"), "HIT v -1");
    assert_eq!(w.ask(3, "e", ""), "LOCK", "other groups are not concerned");
}

#[test]
fn releases_ties_lost_grants_voids_and_lagging_sources_do_not_count() {
    let mut w = World::grouped("g fails 1");
    w.ask(1, "a", "GROUP g TIED");
    w.release_lease(1, "a");
    w.ask(1, "a", "GROUP g TIED LEASE 100");
    w.invalidate("a");
    w.pass(100);
    w.ask(1, "a", "GROUP g TIED");
    w.close(1);
    w.settle();
    assert_eq!(w.ask(2, "b", "GROUP g"), "LOCK");
}

#[test]
fn who_queues_is_answered_at_once_when_it_opens() {
    let mut w = World::grouped("g max 1 fails 1 cool-ms 1000");
    w.ask(1, "a", "GROUP g");
    w.ask(2, "b", "GROUP g BLOCK 0");
    w.ask(3, "c", "GROUP g NOTIFY");
    w.fail(1, "a", "down", Some(1));
    w.settle();
    assert_eq!(w.told(2), "FAIL circuit open: down 1000");
    assert_eq!(w.take_published(), ["c FAIL 1000"]);
}

#[test]
fn the_next_caller_after_the_cool_time_is_the_trial_and_its_success_closes_it() {
    let mut w = opened();
    w.pass(1000);
    assert_eq!(w.ask(1, "a", "GROUP g LEASE 500"), "LOCK");
    assert_eq!(w.ask(2, "b", "GROUP g BLOCK 0"), "FAIL circuit open: db down 500");
    w.fill(1, "a", "v", "");
    assert_eq!(w.ask(2, "b", "GROUP g"), "LOCK");
}

#[test]
fn a_trial_that_fails_opens_it_for_twice_as_long_up_to_32_times() {
    let mut w = opened();
    let mut cool_ms = 1000;
    for _ in 0..8 {
        w.pass(cool_ms);
        assert_eq!(w.ask(1, "a", "GROUP g"), "LOCK");
        w.fail(1, "a", "still", Some(1));
        cool_ms = (cool_ms * 2).min(32_000);
        assert_eq!(w.ask(2, "b", "GROUP g"), format!("FAIL circuit open: still {cool_ms}"));
    }
}

#[test]
fn a_trial_whose_deadline_passes_opens_it_again_and_its_late_word_closes_it() {
    let mut w = opened();
    w.pass(1000);
    w.ask(1, "a", "GROUP g LEASE 100");
    w.pass(100);
    assert_eq!(w.ask(2, "b", "GROUP g"), "FAIL circuit open: a lease expired 2000");
    w.pass(50);
    assert_eq!(w.fill(1, "a", "late", ""), "OK");
    assert_eq!(w.ask(2, "b", "GROUP g"), "LOCK");
}

#[test]
fn a_trial_that_ends_in_any_other_way_makes_the_next_caller_the_trial() {
    let ends: [&dyn Fn(&mut World); 5] = [
        &|w| drop(w.release_lease(1, "a")),
        &|w| w.close(1),
        &|w| drop(w.invalidate("a")),
        &|w| w.del("a"),
        &World::flush_all,
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let mut w = opened();
        w.pass(1000);
        w.ask(1, "a", "GROUP g TIED");
        end(&mut w);
        w.settle();
        assert_eq!(w.ask(2, "b", "GROUP g"), "LOCK", "{number}");
        assert!(w.ask(3, "c", "GROUP g").starts_with("FAIL"), "{number}: and the only one");
        w.fill(1, "a", "v", "");
        assert!(w.ask(3, "c", "GROUP g").starts_with("FAIL"), "{number}: 1 is not the last trial any more");
        w.fill(2, "b", "v", "");
        assert_eq!(w.ask(3, "c", "GROUP g"), "LOCK");
    }
}

#[test]
fn leftovers_from_before_move_nothing() {
    let mut w = World::grouped("g fails 1 cool-ms 1000");
    w.ask(1, "a", "GROUP g");
    w.ask(2, "b", "GROUP g");
    w.ask(3, "c", "GROUP g");
    w.fail(1, "a", "down", Some(1));
    w.fill(2, "b", "v", "");
    assert!(w.ask(4, "d", "GROUP g").starts_with("FAIL"), "an open one is not closed by a leftover");
    w.pass(1000);
    w.ask(4, "d", "GROUP g");
    w.fail(3, "c", "down", Some(1));
    assert!(w.ask(5, "e", "GROUP g").starts_with("FAIL circuit open: down 10000"));
    w.fill(4, "d", "v", "");
    assert_eq!(w.ask(5, "e", "GROUP g"), "LOCK");
}

#[test]
fn a_fill_that_was_refused_or_void_is_a_success_of_the_source() {
    let mut w = opened();
    w.pass(1000);
    w.ask(1, "a", "GROUP g");
    w.server.writes = Writes::OutOfMemory((*b"OOM").into());
    w.fill(1, "a", "v", "");
    w.server.writes = Writes::Allowed;
    assert_eq!(w.ask(2, "b", "GROUP g"), "LOCK");
    let mut w = opened();
    w.pass(1000);
    w.ask(1, "a", "GROUP g ONCE 100");
    w.server.writes = Writes::OutOfMemory((*b"OOM").into());
    w.fill(1, "a", "v", "");
    w.server.writes = Writes::Allowed;
    assert_eq!(w.ask(2, "b", "GROUP g"), "LOCK");
    let mut w = opened();
    w.pass(1000);
    w.ask(1, "a", "GROUP g");
    w.invalidate("a");
    assert_eq!(w.fill(1, "a", "v", ""), "nil");
    assert_eq!((w.ask(2, "b", "GROUP g"), w.ask(3, "c", "GROUP g")), ("LOCK".to_string(), "LOCK".to_string()));
}

#[test]
fn a_listener_cannot_be_the_trial_and_does_not_keep_a_caller_from_being_it() {
    let mut w = World::grouped("g max 1 fails 1 cool-ms 100");
    w.ask(1, "slow", "GROUP g LEASE 5000");
    w.configure("g max 2 fails 1 cool-ms 100");
    w.ask(2, "a", "GROUP g");
    w.configure("g max 1 fails 1 cool-ms 100");
    w.fail(2, "a", "down", Some(1));
    w.pass(100);
    assert_eq!(w.ask(3, "listened", "GROUP g NOTIFY"), "WAIT 4900");
    assert_eq!(w.ask(4, "parked", "GROUP g BLOCK 0 LEASE 300"), "parked");
    w.release_lease(1, "slow");
    w.settle();
    assert_eq!(w.told(4), "LOCK");
    assert_eq!(w.take_published(), ["listened FAIL 300"]);
}

#[test]
fn a_listener_alone_is_told_to_ask_and_the_next_caller_is_the_trial() {
    let mut w = World::grouped("g max 1 fails 1 cool-ms 100");
    w.ask(1, "slow", "GROUP g LEASE 5000");
    w.configure("g max 2 fails 1 cool-ms 100");
    w.ask(2, "a", "GROUP g");
    w.configure("g max 1 fails 1 cool-ms 100");
    w.fail(2, "a", "down", Some(1));
    w.pass(100);
    w.ask(3, "listened", "GROUP g NOTIFY");
    w.release_lease(1, "slow");
    w.settle();
    assert_eq!(w.take_published(), ["listened WAIT 0"]);
    assert_eq!(w.ask(5, "other", "GROUP g"), "LOCK", "nothing is kept for who may not come");
}

#[test]
fn the_keys_own_message_comes_first_and_the_later_end_counts() {
    let mut w = opened();
    w.pass(1);
    assert_eq!(w.ask(1, "another", "GROUP g"), "FAIL circuit open: db down 999");
    assert_eq!(w.ask(1, "x", "GROUP g"), "FAIL db down 999", "its back-off is over, its message is not");
    let mut w = World::grouped("g fails 1 cool-ms 1000");
    w.ask(1, "a", "GROUP g");
    w.fail(1, "a", "down", Some(5000));
    assert_eq!(w.ask(2, "a", "GROUP g"), "FAIL down 5000");
    let mut w = World::grouped("g fails 1 cool-ms 9000");
    w.ask(1, "a", "GROUP g");
    w.fail(1, "a", "down", Some(5000));
    assert_eq!(w.ask(2, "a", "GROUP g"), "FAIL down 9000");
}

#[test]
fn an_open_circuit_with_a_full_group_does_not_make_the_node_due_for_ever() {
    let mut w = World::grouped("g max 1 fails 1 cool-ms 100");
    w.ask(1, "slow", "GROUP g LEASE 5000");
    w.configure("g max 2 fails 1 cool-ms 100");
    w.ask(2, "a", "GROUP g");
    w.configure("g max 1 fails 1 cool-ms 100");
    w.fail(2, "a", "down", Some(1));
    w.pass(100);
    w.ask(3, "b", "GROUP g BLOCK 0");
    w.turns = 0;
    w.pass(1000);
    assert!(w.turns < 20, "{} turns", w.turns);
}

#[test]
fn who_opens_the_circuit_is_told_when_the_next_attempt_is_allowed_and_so_are_its_waiters() {
    let mut w = World::grouped("g fails 1 cool-ms 5000");
    w.ask(1, "k", "GROUP g");
    w.ask(2, "k", "GROUP g BLOCK 0");
    assert_eq!(w.fail(1, "k", "m", Some(100)), "FAIL m 5000");
    w.settle();
    assert_eq!(w.told(2), "FAIL m 5000");
}
