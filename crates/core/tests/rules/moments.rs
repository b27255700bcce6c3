//! To the millisecond: what holds at a moment and not a millisecond before or after it.

use crate::world::World;

#[test]
fn an_early_refresh_is_due_when_the_formula_says_and_not_before() {
    // Built in 100 ms. With a draw of 0.5, -100 * ln(0.5) is 69.3: due when 69 ms are left, not when 70 are.
    for (beta, left_ms, answer) in
        [("1", 70, "HIT v 70"), ("1", 69, "REFRESH v"), ("2", 139, "HIT v 139"), ("2", 138, "REFRESH v")]
    {
        let mut w = World::new();
        w.ask(1, "k", "");
        w.pass(100);
        w.fill(1, "k", "v", "PX 1000");
        w.server.random = Some(0.5);
        w.pass(1000 - left_ms);
        assert_eq!(w.ask(2, "k", &format!("EARLY {beta}")), answer, "beta {beta}");
    }
}

#[test]
fn a_value_is_fresh_before_its_soft_deadline_and_serves_before_its_windows_end() {
    let asked_after = |ms: u64| {
        let mut w = World::new();
        w.set("k", "v", "PX 10 SWR 5 SIE 8");
        w.pass(ms);
        (w.ask(1, "k", "LEASE 100"), w.ask(2, "k", ""))
    };
    assert_eq!(asked_after(9).0, "HIT v 1");
    assert_eq!(asked_after(10), ("REFRESH v".to_string(), "STALE v 100".to_string()));
    assert_eq!(asked_after(14).0, "REFRESH v");
    // The SIE window is for failures, and there was none.
    assert_eq!(asked_after(15), ("LOCK".to_string(), "WAIT 100".to_string()));
}

#[test]
fn a_renewal_counts_from_now_and_moves_its_waiters_moment() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.ask(2, "k", "BLOCK 0 LEASE 100");
    w.pass(99);
    assert_eq!(w.renew(1, "k", 50, None), "50");
    w.pass(49);
    assert_eq!(w.told(2), "waits");
    w.pass(1);
    assert_eq!(w.told(2), "LOCK");
}

#[test]
fn of_two_leases_that_end_together_the_longest_waiting_is_promoted() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.ask(2, "k", "BLOCK 0 LEASE 500");
    w.invalidate("k");
    w.ask(3, "k", "LEASE 100");
    w.ask(4, "k", "BLOCK 0 LEASE 500");
    w.pass(100);
    assert_eq!((w.told(2), w.told(4)), ("LOCK".to_string(), "waits".to_string()));
}

#[test]
fn whose_limit_passes_at_the_very_deadline_is_told_to_wait_and_the_next_is_promoted() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.ask(2, "k", "BLOCK 100");
    w.ask(3, "k", "BLOCK 0");
    w.pass(100);
    assert_eq!((w.told(2), w.told(3)), ("WAIT 0".to_string(), "LOCK".to_string()));
}

#[test]
fn who_is_parked_in_a_pause_that_began_at_the_very_deadline_is_answered() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.pass(100);
    w.pause();
    assert_eq!(w.ask(2, "k", "BLOCK 0"), "parked");
    w.unpause();
    w.pass(1000);
    assert_eq!(w.told(2), "LOCK");
}

#[test]
fn a_tie_that_waits_for_the_fills_of_a_pause_is_not_due_before_their_time() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 10000 TIED");
    w.pause();
    w.pass(50);
    w.unpause();
    w.pass(1);
    w.close(1);
    let before = w.turns;
    w.pass(8);
    assert!(w.turns - before < 5, "{} turns in 8 ms with nothing to do", w.turns - before);
}

#[test]
fn a_mark_of_a_master_whose_clock_was_ahead_counts_at_once() {
    let mut w = World::new();
    w.attach_replica();
    w.set("k", "v", "PX 10000 TAGS 1 t");
    w.mark(&["t"], None);
    w.fail_over();
    w.wall_us -= 5_000_000;
    assert_eq!(w.get("k"), "MISS 0");
    assert_eq!(w.ask(1, "k", ""), "LOCK");
}
