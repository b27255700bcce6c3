//! FAIL, back-offs, and "the last attempt failed".

use crate::world::World;

#[test]
fn a_failure_reaches_waiters_and_callers_until_its_back_off_has_passed() {
    let mut w = World::new();
    w.ask(1, "k", "");
    w.ask(2, "k", "BLOCK 0");
    assert_eq!(w.fail(1, "k", "down", Some(200)), "FAIL down 200");
    w.settle();
    assert_eq!(w.told(2), "FAIL down 200");
    w.pass(150);
    assert_eq!(w.ask(3, "k", "BLOCK 0"), "FAIL down 50");
    assert_eq!(w.get("k"), "FAIL down 50");
    w.pass(50);
    assert_eq!(w.ask(3, "k", ""), "LOCK");
}

#[test]
fn a_failure_within_the_windows_serves_the_old_value() {
    let mut w = World::new();
    w.set("k", "v", "PX 10 SIE 1000");
    w.pass(20);
    assert_eq!(w.ask(1, "k", "LEASE 100"), "LOCK", "SIE alone serves nobody before a failure");
    w.ask(2, "k", "BLOCK 0");
    w.ask(3, "k", "BLOCK 0 NOSTALE");
    assert_eq!(w.fail(1, "k", "down", Some(200)), "STALE v 0");
    w.settle();
    assert_eq!((w.told(2), w.told(3)), ("STALE v 0".to_string(), "FAIL down 200".to_string()));
    assert_eq!(w.ask(4, "k", ""), "STALE v 0");
    assert_eq!(w.ask(4, "k", "NOSTALE"), "FAIL down 200");
}

#[test]
fn a_failed_force_leaves_the_fresh_value_also_for_nostale() {
    let mut w = World::new();
    w.set("k", "v", "PX 1000");
    w.ask(1, "k", "FORCE");
    w.ask(2, "k", "FORCE NOSTALE BLOCK 0");
    assert_eq!(w.fail(1, "k", "down", None), "STALE v 0");
    w.settle();
    assert_eq!(w.told(2), "STALE v 0");
    assert_eq!(w.ask(3, "k", "FORCE"), "HIT v 1000");
}

#[test]
fn failures_in_a_row_double_the_back_off_up_to_the_limit_and_successes_start_anew() {
    let mut w = World::new();
    w.node.settings.backoff_max_ms = 700;
    let attempt = |w: &mut World, backoff_ms, expected: &str| {
        assert_eq!(w.ask(1, "k", ""), "LOCK");
        assert_eq!(w.fail(1, "k", "down", Some(backoff_ms)), expected);
    };
    for (ms, expected) in
        [(100, "FAIL down 100"), (200, "FAIL down 200"), (400, "FAIL down 400"), (700, "FAIL down 700")]
    {
        attempt(&mut w, 100, expected);
        w.pass(ms);
    }
    w.ask(1, "k", "");
    w.fill(1, "k", "v", "PX 1");
    w.pass(1);
    attempt(&mut w, 100, "FAIL down 100");
    w.pass(1100);
    assert!(!w.has("k"), "remembered for a second");
}

#[test]
fn a_back_off_is_never_shorter_than_what_was_asked() {
    let mut w = World::new();
    w.node.settings.backoff_max_ms = 150;
    w.ask(1, "k", "");
    assert_eq!(w.fail(1, "k", "down", Some(900)), "FAIL down 900");
}

#[test]
fn once_a_source_has_failed_sie_serves_until_an_attempt_succeeds() {
    let mut w = World::new();
    w.set("k", "v", "PX 10 SIE 100000");
    w.pass(20);
    w.ask(1, "k", "LEASE 100");
    for client in 2..=4 {
        assert_eq!(w.ask(client, "k", "BLOCK 0"), "parked");
    }
    w.pass(100);
    assert_eq!(w.told(2), "LOCK");
    assert_eq!((w.told(3), w.told(4)), ("STALE v 10000".to_string(), "STALE v 10000".to_string()));
    assert_eq!(w.ask(5, "k", "BLOCK 0"), "STALE v 10000");
    // A RELEASE is none, and does not make the one before good.
    assert_eq!(w.release_lease(2, "k"), "1");
    assert_eq!(w.ask(6, "k", "LEASE 100"), "LOCK");
    assert_eq!(w.ask(7, "k", "BLOCK 0"), "STALE v 100");
    w.fill(6, "k", "new", "PX 10 SIE 100000");
    w.pass(20);
    w.ask(6, "k", "LEASE 100");
    assert_eq!(w.ask(7, "k", ""), "WAIT 100");
}

#[test]
fn a_release_and_a_void_are_no_failures() {
    let mut w = World::new();
    w.set("k", "v", "PX 10 SIE 100000");
    w.pass(20);
    w.ask(1, "k", "LEASE 100");
    w.release_lease(1, "k");
    w.ask(1, "k", "LEASE 100");
    w.invalidate("k");
    w.ask(1, "k", "LEASE 100");
    assert_eq!(w.ask(2, "k", ""), "WAIT 100");
}

#[test]
fn invalidate_keeps_a_back_off_and_del_and_set_end_it() {
    let mut w = World::new();
    w.ask(1, "k", "");
    w.fail(1, "k", "down", Some(1000));
    assert_eq!(w.invalidate("k"), "1");
    assert_eq!(w.ask(1, "k", ""), "FAIL down 1000");
    w.del("k");
    assert_eq!(w.ask(1, "k", ""), "LOCK");
    w.fail(1, "k", "down", Some(1000));
    w.set("k", "v", "PX 10");
    w.pass(20);
    assert_eq!(w.ask(1, "k", ""), "LOCK");
}

#[test]
fn a_failure_spoken_in_vain_has_those_who_joined_it_ask_again() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000");
    w.ask(2, "k", "BLOCK 0");
    w.invalidate("k");
    assert_eq!(w.fail(1, "k", "down", None), "nil");
    w.settle();
    assert_eq!(w.told(2), "LOCK");
}
