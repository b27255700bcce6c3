//! Waiting rooms and handovers: rules 4, 5 and 13.

use crate::world::World;

#[test]
fn each_end_without_a_fill_promotes_the_longest_waiting_with_a_full_lease_of_its_own() {
    for end in 0..3 {
        let mut w = World::new();
        w.ask(1, "k", "LEASE 100 TIED");
        for client in 2..=4 {
            assert_eq!(w.ask(client, "k", &format!("BLOCK 0 LEASE {client}00")), "parked");
        }
        match end {
            0 => assert_eq!(w.release_lease(1, "k"), "1"),
            1 => w.pass(100),
            _ => w.close(1),
        }
        w.settle();
        assert_eq!((w.told(2), w.told(3)), ("LOCK".to_string(), "waits".to_string()));
        assert_eq!(w.ask(5, "k", ""), "WAIT 200");
        w.release_lease(2, "k");
        assert_eq!((w.told(3), w.told(4)), ("LOCK".to_string(), "waits".to_string()));
        assert_eq!(w.ask(5, "k", ""), "WAIT 300");
        assert_eq!(w.node.counters.handovers, 2);
    }
}

#[test]
fn the_others_are_decided_anew_who_may_have_stale_gets_it_and_the_rest_waits_on() {
    let mut w = World::new();
    w.set("k", "v", "PX 10 SIE 1000");
    w.pass(20);
    w.ask(1, "k", "LEASE 100");
    w.ask(2, "k", "BLOCK 0 NOSTALE LEASE 500");
    w.ask(3, "k", "BLOCK 0");
    w.ask(4, "k", "BLOCK 0 NOSTALE");
    w.ask(5, "k", "BLOCK 0");
    w.pass(100);
    assert_eq!((w.told(2), w.told(3)), ("LOCK".to_string(), "STALE v 500".to_string()));
    assert_eq!((w.told(4), w.told(5)), ("waits".to_string(), "STALE v 500".to_string()));
}

#[test]
fn a_waiter_that_is_gone_or_may_not_any_more_is_passed_over() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    for client in 2..=5 {
        w.ask(client, "k", "BLOCK 0");
    }
    w.close(2);
    w.server.forbidden.insert(3);
    w.pass(100);
    assert!(w.told(3).starts_with("NOPERM"));
    assert_eq!((w.told(4), w.told(5)), ("LOCK".to_string(), "waits".to_string()));
    w.server.forbidden.insert(5);
    w.fill(4, "k", "v", "");
    w.settle();
    assert!(w.told(5).starts_with("NOPERM"));
}

#[test]
fn a_grant_that_does_not_reach_its_client_is_handed_on() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.ask(2, "k", "BLOCK 0");
    w.ask(3, "k", "BLOCK 0");
    w.move_clocks(100_000);
    w.turn();
    assert_eq!(w.in_flight.len(), 1, "2 is promoted");
    w.close(2);
    w.settle();
    assert_eq!(w.told(3), "LOCK");
    assert!(w.take_events().contains(&"cache.release k".to_string()));
}

#[test]
fn a_limit_passes_at_its_time_and_says_what_is_left_of_the_lease() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 1000");
    w.ask(2, "k", "BLOCK 300");
    w.pass(299);
    assert_eq!(w.told(2), "waits");
    w.pass(1);
    assert_eq!(w.told(2), "WAIT 700");
    assert_eq!(w.node.counters.waiters_timed_out, 1);
}

#[test]
fn a_limit_holds_by_the_clock_that_is_never_set() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100000");
    w.ask(2, "k", "BLOCK 300");
    w.wall_us += 3_600_000_000;
    w.wall_us -= 7_200_000_000;
    w.pass(299);
    assert_eq!(w.told(2), "waits");
    w.pass(1);
    assert!(w.told(2).starts_with("WAIT"));
}

#[test]
fn who_gave_up_while_the_server_was_busy_is_not_promoted() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100000");
    w.ask(2, "k", "BLOCK 300");
    w.ask(3, "k", "BLOCK 0");
    w.move_clocks(1_000_000);
    w.busy_ms = 1000;
    assert_eq!(w.release_lease(1, "k"), "1");
    assert!(w.told(2).starts_with("WAIT"));
    assert_eq!(w.told(3), "LOCK");
}

#[test]
fn a_limit_that_passes_behind_a_queue_of_answers_is_kept() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100000");
    for client in 2..2002 {
        w.ask(client, "k", "BLOCK 100");
    }
    w.move_clocks(99_000);
    w.fill(1, "k", "v", "");
    w.turn();
    w.move_clocks(1000);
    w.settle();
    let lines: Vec<String> = (2..2002).map(|client| w.told(client)).collect();
    assert!(lines.contains(&"HIT v -1".to_string()) && lines.contains(&"WAIT 0".to_string()));
}

#[test]
fn a_turn_wakes_as_many_clients_as_it_may_whatever_wakes_them() {
    const CLIENTS_IN_A_FIRST_TURN: usize = 64;
    let mut w = World::new();
    w.ask(1, "filled", "LEASE 100000");
    for number in 0..200_u64 {
        let key = format!("k{number}");
        w.ask(4 * number + 2, &key, "LEASE 100");
        w.ask(4 * number + 3, &key, "BLOCK 0");
        w.ask(4 * number + 4, "filled", "BLOCK 0");
        w.ask(4 * number + 5, "filled", "BLOCK 100");
    }
    w.fill(1, "filled", "v", "");
    w.move_clocks(100_000);
    let before = w.in_flight.len();
    w.turn();
    assert_eq!(w.in_flight.len() - before, CLIENTS_IN_A_FIRST_TURN);
    w.settle();
    for client in (0..200).flat_map(|number| [4 * number + 3, 4 * number + 4, 4 * number + 5]) {
        assert_ne!(w.told(client), "waits");
    }
}

#[test]
fn client_unblock_ends_a_wait_with_an_answer() {
    let mut w = World::new();
    w.ask(1, "k", "LEASE 100");
    w.ask(2, "k", "BLOCK 0");
    assert_eq!(w.unblock(2), "WAIT 100");
    w.fill(1, "k", "v", "");
    w.settle();
    assert_eq!(w.told(2), "nothing");
}

#[test]
fn a_plain_set_wakes_the_waiters_with_the_string() {
    let mut w = World::new();
    w.ask(1, "k", "");
    w.ask(2, "k", "BLOCK 0");
    w.set_string("k", "text");
    w.settle();
    assert_eq!(w.told(2), "HIT text -1");
    w.ask(1, "o", "");
    w.ask(2, "o", "BLOCK 0");
    w.set_other("o");
    w.settle();
    assert!(w.told(2).starts_with("WRONGTYPE"));
}

#[test]
fn a_slot_that_moved_away_and_a_panic_are_told_and_nobody_hangs() {
    let mut w = World::new();
    w.ask(1, "k", "");
    w.ask(2, "k", "BLOCK 0");
    w.node.moved_away(0, b"k");
    w.settle();
    assert!(w.told(2).starts_with("TRYAGAIN"));
    w.ask(2, "k", "BLOCK 0");
    w.event(corral_core::node::event::Event::Poisoned);
    w.settle();
    assert!(w.told(2).starts_with("ERR internal error"));
}

#[test]
fn every_end_of_a_lease_is_told() {
    let mut w = World::new();
    let ends: [(&str, &dyn Fn(&mut World)); 6] = [
        ("cache.fill k", &|w| drop(w.fill(1, "k", "v", "PX 5"))),
        ("cache.fail k", &|w| drop(w.fail(1, "k", "m", Some(1)))),
        ("cache.pass k", &|w| drop(w.pass_on(1, "k", Some(1)))),
        ("cache.release k", &|w| drop(w.release_lease(1, "k"))),
        ("cache.expire k", &|w| w.pass(100)),
        ("cache.release k", &|w| w.close(1)),
    ];
    for (event, end) in ends {
        w.ask(1, "k", "LEASE 100 TIED");
        w.take_events();
        w.signalled.clear();
        end(&mut w);
        w.settle();
        assert!(w.take_events().contains(&event.to_string()), "{event}");
        assert!(w.signalled.contains(&crate::world::place("k")), "{event}");
        w.del("k");
    }
}
