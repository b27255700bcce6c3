//! INVALIDATE, and every other way a key can go: rule 6.

use crate::world::World;

#[test]
fn an_invalidated_value_is_stale_from_now_on_and_its_windows_begin_now() {
    let mut w = World::new();
    w.set("k", "v", "PX 10000 SWR 100");
    assert_eq!(w.invalidate("k"), "1");
    assert_eq!(w.get("k"), "STALE v 0");
    w.pass(99);
    assert_eq!(w.get("k"), "STALE v 0");
    w.pass(1);
    assert_eq!(w.get("k"), "MISS 0");
    assert_eq!(w.invalidate("none"), "0");
    w.set_string("s", "text");
    assert_eq!(w.invalidate("s"), "0");
}

#[test]
fn whatever_removes_a_key_voids_the_rebuild_that_began_before() {
    let ways: [(&str, &dyn Fn(&mut World)); 8] = [
        ("DEL", &|w| w.del("k")),
        ("SET over it", &|w| {
            w.set_string("k", "x");
            w.settle();
            w.del("k");
        }),
        ("EXPIRE", &|w| {
            w.set_expiry("k", Some(5));
            w.pass(5);
        }),
        ("FLUSHALL", &World::flush_all),
        ("RENAME from", &|w| w.rename("k", "elsewhere")),
        ("RENAME over", &|w| {
            w.set("other", "x", "PX 1");
            w.rename("other", "k");
            w.pass(1);
        }),
        ("SWAPDB", &|w| w.swap(0, 1)),
        ("SWAPDB twice", &|w| {
            w.swap(0, 1);
            w.swap(1, 0);
        }),
    ];
    for (way, act) in ways {
        let mut w = World::new();
        w.ask(1, "k", "LEASE 1000");
        w.ask(2, "k", "BLOCK 0");
        act(&mut w);
        w.settle();
        assert_eq!(w.ask(3, "k", "LEASE 5000"), "LOCK", "{way}: it does not wait for a rebuild from before");
        assert_eq!(w.fill(1, "k", "old", ""), "nil", "{way}");
        w.settle();
        assert_eq!(w.told(2), if way == "SET over it" { "HIT x -1" } else { "HIT old -1" }, "{way}: it asked before");
        assert_eq!(w.get("k"), "MISS 5000", "{way}");
    }
}

#[test]
fn those_who_joined_before_ask_again_when_the_void_leases_deadline_passes() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000");
    w.ask(2, "k", "BLOCK 0");
    w.flush_all();
    w.pass(999);
    assert_eq!(w.told(2), "waits");
    w.pass(1);
    assert_eq!(w.told(2), "LOCK");
}

#[test]
fn those_who_joined_before_ask_again_when_the_tie_of_the_void_lease_closes() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000 TIED");
    w.ask(2, "k", "BLOCK 0");
    w.invalidate("k");
    w.close(1);
    w.settle();
    assert_eq!(w.told(2), "LOCK");
}

#[test]
fn an_invalidation_sends_no_value_to_replicas_again() {
    let mut w = World::new();
    w.attach_replica();
    w.set("k", "v", "PX 100 SWR 100");
    w.invalidate("k");
    w.assert_replica_is_equal();
}
