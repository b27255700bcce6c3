//! CLIENT PAUSE, FAILOVER: a pause refuses nothing.

use crate::world::World;

#[test]
fn hits_are_served_callers_are_parked_or_told_to_wait_and_all_are_decided_at_the_end() {
    let mut w = World::new();
    w.set("hit", "v", "PX 10000");
    w.set("swr", "v", "PX 10 SWR 10000");
    w.pass(20);
    w.pause();
    assert_eq!(w.ask(1, "hit", ""), "HIT v 9980");
    assert_eq!(w.ask(1, "hit", "FORCE"), "HIT v 9980");
    assert_eq!(w.ask(1, "k", ""), "WAIT 0");
    assert_eq!(w.ask(1, "swr", ""), "WAIT 0");
    assert_eq!(w.ask(2, "k", "BLOCK 0"), "parked");
    assert_eq!(w.ask(3, "k", "BLOCK 0"), "parked");
    assert_eq!(w.ask(4, "k", "BLOCK 30"), "parked");
    assert_eq!(w.ask(5, "n", "NOTIFY"), "WAIT 0");
    w.pass(30);
    assert_eq!((w.told(2), w.told(4)), ("waits".to_string(), "WAIT 0".to_string()));
    w.unpause();
    w.pass(20);
    assert_eq!((w.told(2), w.told(3)), ("LOCK".to_string(), "waits".to_string()));
    assert_eq!(w.take_published(), ["n WAIT 0"]);
}

#[test]
fn a_lease_whose_deadline_fell_into_a_pause_ends_10_ms_after_it() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.ask(2, "k", "BLOCK 0");
    w.pass(90);
    w.pause();
    w.pass(60);
    assert_eq!(w.told(2), "waits");
    assert_eq!(w.ask(3, "k", ""), "WAIT 0");
    w.unpause();
    assert_eq!(w.told(2), "waits");
    w.pass(9);
    assert_eq!(w.fill(1, "k", "held back", ""), "OK");
    w.settle();
    assert_eq!(w.told(2), "HIT held back -1");
    w.ask(1, "l", "LEASE 50");
    w.ask(2, "l", "BLOCK 0");
    w.pause();
    w.pass(60);
    w.unpause();
    w.turn();
    w.pass(9);
    assert_eq!(w.told(2), "waits");
    w.pass(1);
    assert_eq!(w.told(2), "LOCK");
}

#[test]
fn a_call_within_a_pause_changes_nothing() {
    let mut w = World::new();
    w.set("k", "v", "PX 1000 SWR 1000 TAGS 1 t");
    w.ask(1, "l", "LEASE 1000");
    w.mark(&["t"], None);
    w.pause();
    assert_eq!(w.ask(1, "k", "NOSTALE"), "WAIT 0");
    let tried = [
        w.fill(1, "l", "v", ""),
        w.touch(1, "l", ""),
        w.fail(1, "l", "m", None),
        w.pass_on(1, "l", None),
        w.release_lease(1, "l"),
        w.renew(1, "l", 5, None),
        w.set("k", "x", ""),
        w.invalidate("k"),
        w.outdate("k", 5, ""),
    ];
    for reply in tried {
        assert!(reply.starts_with("TRYAGAIN clients are paused"), "{reply}");
    }
    w.unpause();
    assert_eq!(w.get("k"), "STALE v 0");
    assert_eq!(w.fill(1, "l", "v", ""), "OK");
}

#[test]
fn ten_thousand_rooms_past_their_deadline_cost_a_pause_nothing() {
    let mut w = World::new();
    for number in 0..500_u64 {
        let key = format!("k{number}");
        w.ask(number * 2 + 1, &key, "LEASE 100");
        w.ask(number * 2 + 2, &key, "BLOCK 0");
    }
    w.pass(50);
    w.pause();
    w.turns = 0;
    w.pass(100);
    assert!(w.turns <= 20, "{} turns in 100 ms", w.turns);
    w.unpause();
    w.pass(30);
    assert_eq!(w.node.counters.handovers, 500);
}
