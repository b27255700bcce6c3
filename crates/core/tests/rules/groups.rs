//! Groups: limits and queues over keys.

use crate::world::World;

#[test]
fn a_grant_takes_a_permit_and_who_finds_none_free_is_full() {
    let mut w = World::grouped("g max 1");
    w.set("old", "v", "PX 1 SIE 1000");
    w.set("fresh", "v", "");
    w.pass(1);
    w.ask(1, "a", "GROUP g LEASE 500");
    assert_eq!(w.ask(2, "b", "GROUP g"), "WAIT 500");
    assert_eq!(w.ask(2, "old", "GROUP g BLOCK 0"), "STALE v 0");
    assert_eq!(w.ask(2, "fresh", "GROUP g FORCE"), "HIT v -1");
    assert_eq!(w.ask(3, "b", "GROUP g BLOCK 0"), "parked");
    assert_eq!(w.ask(4, "c", ""), "LOCK", "other groups are not concerned");
}

#[test]
fn who_asked_first_over_all_keys_is_granted_next_and_newcomers_do_not_overtake() {
    let mut w = World::grouped("g max 1");
    w.ask(1, "a", "GROUP g LEASE 500");
    w.ask(2, "b", "GROUP g BLOCK 0 LEASE 500");
    w.ask(3, "c", "GROUP g BLOCK 0");
    w.ask(4, "b", "GROUP g BLOCK 0");
    w.move_clocks(500_000);
    assert_eq!(w.ask(5, "d", "GROUP g"), "WAIT 0", "two queue before it, although the lease is over");
    w.settle();
    assert_eq!((w.told(2), w.told(3), w.told(4)), ("LOCK".into(), "waits".into(), "waits".to_string()));
    w.fill(2, "b", "v", "");
    w.settle();
    assert_eq!((w.told(3), w.told(4)), ("LOCK".to_string(), "HIT v -1".to_string()));
}

#[test]
fn the_ended_keys_own_waiters_compete_by_their_asks() {
    let mut w = World::grouped("g max 1");
    w.ask(1, "a", "GROUP g LEASE 500");
    w.ask(2, "a", "GROUP g BLOCK 0");
    w.ask(3, "b", "GROUP g BLOCK 0");
    w.ask(4, "a", "GROUP g BLOCK 0");
    w.move_clocks(500_000);
    assert_eq!(w.ask(5, "c", "GROUP g BLOCK 0"), "parked", "a's waiters asked before");
    w.settle();
    assert_eq!((w.told(2), w.told(3)), ("LOCK".to_string(), "waits".to_string()));
    w.release_lease(2, "a");
    w.settle();
    assert_eq!((w.told(3), w.told(4)), ("LOCK".to_string(), "waits".to_string()));
    w.release_lease(3, "b");
    w.settle();
    assert_eq!((w.told(4), w.told(5)), ("LOCK".to_string(), "waits".to_string()));
}

#[test]
fn a_permit_comes_back_with_the_holders_word_its_tie_or_its_deadline_and_not_with_a_void() {
    let ends: [(&dyn Fn(&mut World), bool); 9] = [
        (&|w| drop(w.fill(1, "a", "v", "")), true),
        (&|w| drop(w.fail(1, "a", "m", None)), true),
        (&|w| drop(w.pass_on(1, "a", None)), true),
        (&|w| drop(w.release_lease(1, "a")), true),
        (&|w| w.close(1), true),
        (&|w| w.pass(500), true),
        (&|w| drop(w.invalidate("a")), false),
        (&|w| w.del("a"), false),
        (&World::flush_all, false),
    ];
    for (number, (end, comes_back)) in ends.into_iter().enumerate() {
        let mut w = World::grouped("g max 1");
        w.ask(1, "a", "GROUP g LEASE 500 TIED");
        w.ask(2, "b", "GROUP g BLOCK 0");
        end(&mut w);
        w.settle();
        assert_eq!(w.told(2) == "LOCK", comes_back, "{number}");
        if !comes_back {
            assert_eq!(w.fill(1, "a", "v", ""), "nil");
            w.settle();
            assert_eq!(w.told(2), "LOCK", "{number}: in vain, but it has spoken");
        }
    }
}

#[test]
fn while_its_key_has_a_live_lease_a_queueing_waiter_waits_for_that_one_and_then_has_its_old_place() {
    let mut w = World::grouped("g max 1");
    w.ask(1, "a", "GROUP g LEASE 9000");
    w.ask(2, "b", "GROUP g BLOCK 0");
    w.ask(3, "c", "GROUP g BLOCK 0");
    assert_eq!(w.ask(4, "b", "LEASE 100"), "LOCK", "of no limited group");
    w.pass(100);
    assert_eq!(w.told(2), "waits");
    w.release_lease(1, "a");
    w.settle();
    assert_eq!((w.told(2), w.told(3)), ("LOCK".to_string(), "waits".to_string()));
}

#[test]
fn what_answers_its_room_answers_who_queues() {
    let mut w = World::grouped("g max 1");
    w.ask(1, "a", "GROUP g");
    w.ask(2, "b", "GROUP g BLOCK 0");
    w.set("b", "v", "");
    w.settle();
    assert_eq!(w.told(2), "HIT v -1");
    w.ask(2, "c", "GROUP g BLOCK 0");
    w.set_string("c", "x");
    w.settle();
    assert_eq!(w.told(2), "waits", "nothing of ours is unlinked by it");
}

#[test]
fn who_leaves_a_queue_makes_way_for_who_is_behind() {
    let mut w = World::grouped("g max 1");
    w.ask(1, "a", "GROUP g LEASE 500");
    w.ask(2, "b", "GROUP g BLOCK 0");
    w.ask(3, "c", "GROUP g BLOCK 0");
    w.ask(4, "b", "GROUP g BLOCK 0");
    w.close(2);
    w.release_lease(1, "a");
    w.settle();
    assert_eq!((w.told(3), w.told(4)), ("LOCK".to_string(), "waits".to_string()));
    w.release_lease(3, "c");
    w.settle();
    assert_eq!(w.told(4), "LOCK");
}

#[test]
fn a_connection_whose_block_ran_out_in_the_queue_keeps_its_place_for_a_second() {
    let mut w = World::grouped("g max 1");
    w.ask(1, "a", "GROUP g LEASE 100000");
    w.ask(2, "b", "GROUP g BLOCK 100");
    w.ask(3, "c", "GROUP g BLOCK 0");
    w.pass(100);
    assert!(w.told(2).starts_with("WAIT"));
    w.pass(900);
    w.ask(2, "elsewhere", "");
    assert_eq!(w.ask(2, "b", "GROUP g BLOCK 0"), "parked");
    w.release_lease(1, "a");
    w.settle();
    assert_eq!((w.told(2), w.told(3)), ("LOCK".to_string(), "waits".to_string()));
    w.ask(4, "d", "GROUP g BLOCK 100");
    w.ask(5, "e", "GROUP g BLOCK 0");
    w.pass(1100);
    assert!(w.told(4).starts_with("WAIT"));
    w.ask(4, "d", "GROUP g BLOCK 0");
    w.release_lease(2, "b");
    w.settle();
    w.release_lease(3, "c");
    w.settle();
    assert_eq!((w.told(4), w.told(5)), ("waits".to_string(), "LOCK".to_string()), "a second is over");
}

#[test]
fn a_connection_that_holds_a_lease_of_the_group_does_not_queue_in_it() {
    let mut w = World::grouped("g max 1");
    w.ask(1, "a", "GROUP g LEASE 500");
    assert_eq!(w.ask(1, "b", "GROUP g BLOCK 0"), "WAIT 500");
    assert_eq!(w.ask(2, "b", "GROUP g BLOCK 0"), "parked");
}

#[test]
fn a_larger_max_a_removed_group_and_a_smaller_max_decide_who_queues_anew() {
    let mut w = World::grouped("g max 1");
    w.ask(1, "k0", "GROUP g LEASE 500");
    for client in 2..=9 {
        w.ask(client, &format!("k{client}"), "GROUP g BLOCK 0 LEASE 1000");
    }
    w.configure("g max 3");
    assert_eq!((w.told(2), w.told(3), w.told(4)), ("LOCK".into(), "LOCK".into(), "waits".to_string()));
    w.configure("g max 1");
    w.pass(500);
    assert_eq!(w.told(4), "waits");
    w.release_lease(2, "k2");
    w.settle();
    assert_eq!(w.told(4), "waits", "enough have to come back");
    w.release_lease(3, "k3");
    w.settle();
    assert_eq!(w.told(4), "LOCK");
    w.configure("");
    for client in 5..=9 {
        assert_eq!(w.told(client), "LOCK");
    }
}

#[test]
fn policies_stand_for_what_a_call_leaves_out() {
    let mut w = World::grouped("g lease-ms 700 block-ms 50 swr-ms 300 backoff-ms 80, default lease-ms 900");
    w.ask(1, "k", "GROUP g");
    assert_eq!(w.ask(2, "k", "GROUP g"), "parked");
    w.pass(50);
    assert_eq!(w.told(2), "WAIT 650");
    assert_eq!(w.fail(1, "k", "m", None), "FAIL m 80");
    w.pass(80);
    w.ask(1, "k", "GROUP g");
    w.fill(1, "k", "v", "PX 10");
    w.pass(300);
    assert_eq!(w.get("k"), "STALE v 0");
    w.ask(1, "d", "");
    assert_eq!(w.ask(2, "d", ""), "WAIT 900");
}

#[test]
fn several_groups_and_classes_in_one_room_are_decided_in_the_order_they_asked() {
    let mut w = World::grouped("g max 1, h max 1");
    w.ask(1, "busy", "GROUP g LEASE 100000");
    w.ask(2, "k", "GROUP h LEASE 100");
    w.ask(3, "k", "GROUP g BLOCK 0");
    w.ask(4, "k", "GROUP h BLOCK 0 NOSTALE LEASE 100");
    w.ask(5, "k", "GROUP h BLOCK 0");
    w.pass(100);
    assert_eq!((w.told(3), w.told(4), w.told(5)), ("waits".into(), "LOCK".into(), "waits".to_string()));
    w.release_lease(1, "busy");
    w.settle();
    w.release_lease(4, "k");
    w.settle();
    assert_eq!((w.told(3), w.told(5)), ("LOCK".to_string(), "waits".to_string()));
}

#[test]
fn backlogs_that_wait_in_slices_do_not_starve() {
    let mut w = World::grouped("g max 1");
    w.ask(1, "first", "GROUP g LEASE 100000");
    for client in 100..110 {
        w.ask(client, &format!("b{client}"), "GROUP g BLOCK 200");
    }
    let mut granted = Vec::new();
    let mut holder = (1, "first".to_string());
    for round in 0..200_u64 {
        w.pass(50);
        w.release_lease(holder.0, &holder.1.clone());
        w.settle();
        w.ask(1000 + round, &format!("n{round}"), "GROUP g BLOCK 0 LEASE 100000");
        for client in (100..110).chain(1000..=1000 + round) {
            let key = if client < 1000 { format!("b{client}") } else { format!("n{}", client - 1000) };
            match w.told(client).as_str() {
                "LOCK" => {
                    holder = (client, key);
                    granted.push(client);
                }
                line if line.starts_with("WAIT") => {
                    assert_eq!(w.ask(client, &key, "GROUP g BLOCK 200"), "parked");
                }
                _ => {}
            }
        }
    }
    let place = |client: u64| granted.iter().position(|of| *of == client);
    assert!((100..110).all(|client| place(client).is_some_and(|place| place < 20)), "{granted:?}");
}

/// More limits pass in every turn than a turn may answer.
#[test]
fn a_free_permit_goes_to_who_asked_first_however_many_limits_pass_meanwhile() {
    const LIMITS_IN_EACH_TURN: u64 = 200;
    let mut w = World::grouped("g max 1");
    w.ask(1, "held", "GROUP g LEASE 100000");
    assert_eq!(w.ask(2, "first", "GROUP g BLOCK 0"), "parked");
    for number in 0..20 * LIMITS_IN_EACH_TURN {
        w.ask(10 + number, &format!("k{number}"), &format!("GROUP g BLOCK {}", 1 + number / LIMITS_IN_EACH_TURN));
    }
    assert_eq!(w.release_lease(1, "held"), "1");
    let turns = (1..=10).find(|_| {
        w.move_clocks(1000);
        w.turn();
        w.told(2) == "LOCK"
    });
    assert_eq!(turns, Some(1), "turns until the first in the queue has the permit");
}
