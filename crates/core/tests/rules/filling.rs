//! FILL, SET, TOUCH, PASS, RENEW, RELEASE.

use corral_core::node::Writes;

use crate::world::{place, World};

#[test]
fn a_fill_is_stored_only_under_the_current_token() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.pass(100);
    w.ask(2, "k", "LEASE 100");
    assert_eq!(w.fill(1, "k", "old", "PX 100"), "nil");
    assert_eq!(w.fill(2, "k", "new", "PX 100"), "OK");
    assert_eq!(w.fill(2, "k", "again", "PX 100"), "nil");
    assert_eq!(w.get("k"), "HIT new 100");
}

#[test]
fn a_late_fill_lands_if_nobody_took_over() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.pass(199);
    assert_eq!(w.fill(1, "k", "late", "PX 100"), "OK");
    w.ask(1, "other", "LEASE 100");
    w.pass(200);
    assert!(!w.has("other"), "a placeholder lives on for one lease length after its deadline");
    assert_eq!(w.node.live_leases(), 0);
}

#[test]
fn a_void_fill_still_wakes_those_who_joined_its_rebuild() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.ask(2, "k", "BLOCK 0");
    w.invalidate("k");
    w.ask(3, "k", "LEASE 100");
    w.ask(4, "k", "BLOCK 0");
    assert_eq!(w.fill(1, "k", "old", "PX 50"), "nil");
    w.settle();
    assert_eq!((w.told(2), w.told(4)), ("HIT old 50".to_string(), "waits".to_string()));
    assert_eq!(w.get("k"), "MISS 100");
    assert_eq!(w.node.counters.void_fills, 1);
}

#[test]
fn a_deadline_already_past_shares_the_value_and_keeps_nothing() {
    let mut w = World::new();
    w.ask(1, "k", "");
    w.ask(2, "k", "BLOCK 0");
    assert_eq!(w.fill(1, "k", "v", "PXAT 1"), "OK");
    w.settle();
    assert_eq!(w.told(2), "HIT v 0");
    assert!(!w.has("k"));
}

#[test]
fn a_key_that_holds_another_type_is_left_alone() {
    let mut w = World::new();
    w.ask(1, "k", "");
    w.ask(2, "k", "BLOCK 0");
    w.set_other("k");
    assert_eq!(w.fill(1, "k", "v", ""), "nil");
    w.settle();
    assert_eq!(w.told(2), "HIT v -1", "it joined before");
    assert!(matches!(w.keys[&place("k")].value, crate::world::Value::List(_)));
}

#[test]
fn a_fill_that_the_server_refuses_reaches_its_waiters_and_ends_the_lease() {
    for (writes, error) in [
        (Writes::OutOfMemory((*b"OOM full").into()), "OOM full"),
        (Writes::Refused((*b"MISCONF disk").into()), "MISCONF disk"),
    ] {
        let mut w = World::new();
        w.ask(1, "k", "");
        w.ask(2, "k", "BLOCK 0");
        w.server.writes = writes;
        assert_eq!(w.fill(1, "k", "v", "PX 9"), error);
        w.settle();
        assert_eq!(w.told(2), "HIT v 9");
        assert!(!w.has("k"));
        assert_eq!(w.node.live_leases(), 0);
    }
}

#[test]
fn other_verdicts_that_the_server_refuses_reach_their_waiters_too() {
    let mut w = World::new();
    for key in ["fail", "pass", "touch", "release"] {
        w.set(key, "v", "PX 10 SIE 1000");
    }
    w.pass(20);
    for (client, key) in [(1, "fail"), (2, "pass"), (3, "touch"), (4, "release")] {
        assert_eq!(w.ask(client, key, "NOSTALE"), "LOCK");
        assert_eq!(w.ask(client + 10, key, "BLOCK 0 NOSTALE"), "parked");
    }
    w.server.writes = Writes::Refused((*b"MISCONF disk").into());
    assert_eq!(w.fail(1, "fail", "down", Some(50)), "MISCONF disk");
    assert_eq!(w.pass_on(2, "pass", None), "MISCONF disk");
    assert_eq!(w.touch(3, "touch", "PX 100"), "MISCONF disk");
    assert_eq!(w.release_lease(4, "release"), "MISCONF disk");
    w.settle();
    assert_eq!((w.told(11), w.told(12)), ("FAIL down 50".to_string(), "PASS 60000".to_string()));
    assert_eq!((w.told(13), w.told(14)), ("HIT v 100".to_string(), "MISCONF disk".to_string()));
    assert_eq!(w.node.live_leases(), 0);
    for key in ["fail", "pass", "touch", "release"] {
        assert!(w.get(key).starts_with("STALE v"), "no value, back-off or mark is written");
    }
}

#[test]
fn renew_and_invalidate_are_refused_with_the_servers_error_and_change_nothing() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.server.writes = Writes::Refused((*b"MISCONF disk").into());
    assert_eq!(w.renew(1, "k", 500, None), "MISCONF disk");
    assert_eq!(w.invalidate("k"), "MISCONF disk");
    w.server.writes = Writes::Allowed;
    assert_eq!(w.ask(2, "k", ""), "WAIT 100");
}

#[test]
fn set_stores_over_anything_voids_the_lease_and_wakes_everybody() {
    let mut w = World::new();
    w.ask(1, "k", "");
    w.ask(2, "k", "BLOCK 0");
    assert_eq!(w.set("k", "v", "PX 70"), "OK");
    w.settle();
    assert_eq!(w.told(2), "HIT v 70");
    assert_eq!(w.fill(1, "k", "late", ""), "nil");
    w.set_other("o");
    assert_eq!(w.set("o", "v", ""), "OK");
    assert_eq!(w.get("o"), "HIT v -1");
}

#[test]
fn set_nx_stores_only_where_there_is_no_fresh_value_and_no_live_lease() {
    let mut w = World::new();
    assert_eq!(w.set("k", "v", "PX 10 SWR 1000 NX"), "OK");
    assert_eq!(w.set("k", "w", "NX"), "HIT v 10");
    w.pass(10);
    assert_eq!(w.set("k", "w", "PX 10 SWR 1000 NX"), "OK", "a stale value does not hinder it");
    w.pass(10);
    w.ask(1, "k", "LEASE 100");
    assert_eq!(w.set("k", "x", "NX"), "STALE w 100");
    w.pass(100);
    assert_eq!(w.set("k", "x", "NX"), "OK", "nor does a late holder");
    w.set_string("s", "text");
    assert_eq!(w.set("s", "x", "NX"), "HIT (string) -1");
    w.set_other("o");
    assert!(w.set("o", "x", "NX").starts_with("WRONGTYPE"));
    w.ask(1, "p", "");
    w.pass_on(1, "p", None);
    assert_eq!(w.set("p", "x", "NX"), "OK", "nor a mark");
    w.ask(1, "f", "");
    w.fail(1, "f", "down", Some(1000));
    assert_eq!(w.set("f", "x", "NX"), "OK", "nor a back-off");
}

#[test]
fn touch_renews_the_times_of_a_value_within_its_windows() {
    let mut w = World::new();
    w.set("k", "v", "PX 10 SWR 100");
    w.pass(50);
    w.ask(1, "k", "LEASE 500");
    w.ask(2, "k", "NOSTALE BLOCK 0");
    assert_eq!(w.touch(1, "k", "PX 300"), "OK");
    w.settle();
    assert_eq!(w.told(2), "HIT v 300");
    assert_eq!(w.touch(1, "k", "PX 300"), "nil");
    w.pass(300);
    w.ask(1, "k", "LEASE 500");
    assert_eq!(w.touch(1, "k", "PX 300"), "nil", "there is no value any more");
    assert_eq!(w.fill(1, "k", "new", ""), "OK", "and the lease stayed");
}

#[test]
fn pass_tells_everybody_to_build_for_itself_and_drops_the_old_value() {
    let mut w = World::new();
    w.set("k", "v", "PX 10 SWR 1000");
    w.pass(10);
    w.ask(1, "k", "");
    w.ask(2, "k", "NOSTALE BLOCK 0");
    assert_eq!(w.pass_on(1, "k", Some(100)), "OK");
    w.settle();
    assert_eq!(w.told(2), "PASS 100");
    assert_eq!((w.ask(3, "k", ""), w.get("k")), ("PASS 100".to_string(), "PASS 100".to_string()));
    assert_eq!(w.kept("k"), None);
    assert_eq!(w.invalidate("k"), "1");
    assert_eq!(w.ask(3, "k", ""), "LOCK");
}

#[test]
fn a_release_in_vain_has_those_who_joined_it_ask_again_at_once() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000");
    w.ask(2, "k", "BLOCK 0");
    w.del("k");
    w.settle();
    assert_eq!(w.told(2), "waits", "its holder still builds");
    assert_eq!(w.release_lease(1, "k"), "0");
    assert_eq!(w.told(2), "LOCK");
}

#[test]
fn renew_never_goes_past_the_longest_lease_and_keeps_a_tie_where_it_is() {
    let mut w = World::new();
    w.node.settings.lease_max_ms = 1000;
    w.ask(1, "k", "LEASE 100 TIED");
    w.pass(50);
    assert_eq!(w.renew(1, "k", 5000, None), "950");
    w.close(1);
    w.settle();
    assert_eq!(w.get("k"), "MISS 0", "the tie is where it was");
    w.ask(2, "k", "LEASE 100");
    assert_eq!(w.renew(2, "k", 100, Some(3)), "100");
    w.close(2);
    w.settle();
    assert_eq!(w.get("k"), "MISS 100");
    w.close(3);
    w.settle();
    assert!(w.get("k").starts_with("FAIL the builder died"));
}

#[test]
fn an_answer_on_its_way_to_who_is_gone_is_nobody_elses() {
    let mut w = World::new();
    w.ask(1, "a", "");
    w.ask(2, "a", "BLOCK 0");
    w.fill(1, "a", "of a", "");
    w.close(2);
    assert_who_waits_for_another_key_next_goes_on_waiting(&mut w);
}

#[test]
fn an_answer_that_took_all_bytes_of_its_turn_is_nobody_elses_in_the_next() {
    let mut w = World::new();
    w.ask(1, "a", "");
    w.ask(2, "a", "BLOCK 0");
    w.ask(3, "a", "BLOCK 0");
    w.fill(1, "a", &"a".repeat(1 << 20), "");
    w.turn();
    assert_who_waits_for_another_key_next_goes_on_waiting(&mut w);
}

#[test]
fn a_void_fill_on_its_way_to_who_is_gone_is_nobody_elses() {
    let mut w = World::new();
    w.ask(1, "a", "");
    w.ask(2, "a", "BLOCK 0");
    w.invalidate("a");
    w.fill(1, "a", "of a", "");
    w.close(2);
    assert_who_waits_for_another_key_next_goes_on_waiting(&mut w);
}

fn assert_who_waits_for_another_key_next_goes_on_waiting(w: &mut World) {
    w.ask(4, "b", "");
    assert_eq!(w.ask(5, "b", "BLOCK 0"), "parked");
    w.settle();
    assert_eq!(w.told(5), "waits");
}
