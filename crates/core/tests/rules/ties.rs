//! TIED leases.

use crate::world::World;

#[test]
fn without_tied_a_lease_outlives_its_connection() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.close(1);
    w.settle();
    assert_eq!(w.ask(2, "k", ""), "WAIT 100");
}

#[test]
fn the_holders_late_fill_lands_after_its_tie_closed_if_nobody_took_over() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100 TIED");
    w.close(1);
    w.settle();
    assert_eq!(w.get("k"), "MISS 0");
    assert_eq!(w.fill(1, "k", "v", ""), "OK");
}

#[test]
fn ties_that_close_twice_in_a_row_are_a_failure_of_the_key() {
    let mut w = World::new();
    w.ask(1, "k", "TIED");
    for client in 2..=4 {
        w.ask(client, "k", "TIED BLOCK 0");
    }
    w.close(1);
    w.settle();
    assert_eq!(w.told(2), "LOCK");
    w.close(2);
    w.settle();
    assert_eq!((w.told(3), w.told(4)), ("FAIL the builder died 1000".to_string(), "FAIL the builder died 1000".into()));
    assert_eq!(w.ask(5, "k", ""), "FAIL the builder died 1000");
}

#[test]
fn a_verdict_between_two_closed_ties_starts_the_count_anew() {
    let mut w = World::new();
    w.ask(1, "k", "TIED");
    w.close(1);
    w.settle();
    w.ask(2, "k", "");
    w.fail(2, "k", "down", Some(1));
    w.pass(1);
    w.ask(3, "k", "TIED");
    w.close(3);
    w.settle();
    assert_eq!(w.ask(4, "k", ""), "LOCK");
}

#[test]
fn the_ties_of_a_connection_end_in_bounded_turns() {
    let mut w = World::new();
    for number in 0..1000 {
        w.ask(1, &format!("k{number}"), "TIED");
    }
    w.close(1);
    w.turn();
    assert!(w.node.live_leases() > 500, "not all in one go");
    w.settle();
    assert_eq!(w.node.live_leases(), 0);
}

#[test]
fn tied_by_default_ties_every_lease_of_a_connection() {
    let mut w = World::grouped("free tied no, bound tied yes");
    w.node.settings.tied_default = true;
    w.ask(1, "a", "");
    w.ask(1, "b", "GROUP free");
    w.node.settings.tied_default = false;
    w.ask(1, "c", "GROUP bound");
    w.close(1);
    w.settle();
    assert_eq!((w.get("a"), w.get("b"), w.get("c")), ("MISS 0".into(), "MISS 10000".into(), "MISS 0".to_string()));
}
