//! The key's own deadline, and keys without a value.

use corral_core::time::UnixMs;

use crate::world::World;

#[test]
fn a_keys_deadline_is_the_later_window_and_never_before_a_live_leases_end() {
    let mut w = World::new();
    w.set("k", "v", "PX 100 SWR 300 SIE 200");
    assert_eq!(w.expiry("k"), Some(w.now().plus(400)));
    w.pass(350);
    w.ask(1, "k", "LEASE 1000");
    // So long the late holder can fill; and a minute more, for a fill that a pause holds back.
    assert_eq!(w.expiry("k"), Some(w.now().plus(2000 + 60_000)));
    w.pass(60);
    assert_eq!(w.get("k"), "MISS 940", "the value is served no longer");
    assert_eq!(w.ask(2, "k", ""), "WAIT 940");
}

#[test]
fn what_expire_set_is_undone_by_no_grant_failure_or_invalidation() {
    let acts: [&dyn Fn(&mut World); 3] =
        [&|w| drop(w.release_lease(1, "k")), &|w| drop(w.fail(1, "k", "down", Some(50))), &|w| drop(w.invalidate("k"))];
    for act in acts {
        let mut w = World::new();
        w.set("k", "v", "PX 10000 SIE 100000");
        w.set_expiry("k", Some(500));
        w.ask(1, "k", "FORCE LEASE 1000");
        w.pass(100);
        act(&mut w);
        w.pass(400);
        assert!(!w.get("k").contains('v'), "{}", w.get("k"));
    }
    let mut w = World::new();
    w.set("k", "v", "PX 10000 SIE 100000");
    w.set_expiry("k", Some(500));
    w.invalidate("k");
    assert_eq!(w.expiry("k"), Some(w.now().plus(500)));
}

#[test]
fn a_touch_revives_no_value_past_what_expire_set() {
    let mut w = World::new();
    w.set("k", "v", "PX 10000");
    w.set_expiry("k", Some(50));
    w.ask(1, "k", "FORCE LEASE 1000");
    w.pass(50);
    assert_eq!(w.touch(1, "k", "PX 1000"), "nil");
    assert_eq!(w.get("k"), "MISS 950");
}

#[test]
fn a_key_without_a_value_goes_by_the_timer_also_where_persist_set_a_later_end() {
    let mut w = World::new();
    w.ask(1, "lease", "LEASE 100");
    w.ask(1, "fail", "");
    // The back-off, and the second that it is remembered for.
    w.fail(1, "fail", "down", Some(300));
    w.ask(1, "pass", "");
    w.pass_on(1, "pass", Some(400));
    w.outdate("floor", 7, "PX 500");
    for key in ["lease", "fail", "pass", "floor"] {
        w.set_expiry(key, None);
        assert_eq!(w.expiry(key), Some(UnixMs::NEVER));
    }
    for (at, key) in [(200, "lease"), (400, "pass"), (500, "floor"), (1300, "fail")] {
        w.pass(at - (w.steady_us / 1000 - 5_000_000) - 1);
        assert!(w.has(key), "{key}");
        w.pass(1);
        assert!(!w.has(key), "{key}");
    }
}

#[test]
fn a_persisted_entry_keeps_its_missing_deadline_over_a_grant() {
    let mut w = World::new();
    w.set("k", "v", "PX 100 SWR 100000");
    w.set_expiry("k", None);
    w.pass(100);
    w.ask(1, "k", "LEASE 50");
    assert_eq!(w.expiry("k"), Some(UnixMs::NEVER));
}

#[test]
fn a_value_past_its_windows_is_revived_by_nothing() {
    let mut w = World::new();
    w.set("k", "v", "PX 10 SWR 10");
    w.pass(15);
    w.ask(1, "k", "LEASE 1000");
    w.pass(20);
    assert_eq!(w.touch(1, "k", "PX 1000"), "nil");
    assert_eq!(w.kept("k"), None, "and its memory goes");
}
