//! Rebuilds that were overtaken: invalidated, late, released by an old holder.

use crate::harness::{eventually, Server};

#[test]
fn a_fill_after_a_delete_is_not_stored_but_serves_those_who_joined_before() {
    let server = Server::start();
    for existed in [false, true] {
        let (mut holder, mut waiter) = (server.client(), server.client());
        if existed {
            holder.run("CACHE.SET page old PX 1");
            eventually("the old value is gone", || holder.ask("CACHE.GET page").is("MISS", None));
        }
        let token = holder.ask("CACHE.GETORLOCK page").token();
        server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
        assert_eq!(holder.run("DEL page").number(), 1);
        assert!(!waiter.has_reply());
        assert!(holder.run(&format!("CACHE.FILL page {token} html PX 60000")).is_nil());
        assert!(waiter.read().triple().is("HIT", Some("html")));
        assert_eq!(holder.run("EXISTS page").number(), 0);
    }
}

#[test]
fn every_way_a_key_can_go_voids_its_lease() {
    let server = Server::start();
    let mut client = server.client();
    let ways = [
        "DEL page",
        "UNLINK page",
        "SET page string",
        "PEXPIRE page 0",
        "FLUSHALL",
        "FLUSHDB ASYNC",
        "RENAME page elsewhere",
        "RENAME other page",
        "MOVE page 1",
        "CACHE.INVALIDATE page",
        "CACHE.SET page value",
    ];
    for way in ways {
        client.run("FLUSHALL");
        client.run("SET other string");
        let token = client.ask("CACHE.GETORLOCK page").token();
        client.run(way);
        assert!(client.run(&format!("CACHE.FILL page {token} late")).is_nil(), "{way}");
        assert!(client.run(&format!("CACHE.FILL elsewhere {token} late")).is_nil(), "{way}");
        assert!(!client.ask("CACHE.GET page").is("HIT", Some("late")), "{way}");
    }
}

#[test]
fn whichever_way_the_key_goes_those_who_joined_before_get_their_holders_value() {
    let server = Server::start();
    let ways: [&[&str]; 12] = [
        &["DEL page"],
        &["UNLINK page"],
        &["PEXPIRE page 0"],
        &["FLUSHALL"],
        &["FLUSHDB ASYNC"],
        &["RENAME page elsewhere"],
        &["RENAME other page"],
        &["MOVE page 1"],
        &["CACHE.INVALIDATE page"],
        &["SET page string"],
        &["COPY other page REPLACE"],
        // Evicted: no key may stay.
        &["CONFIG SET maxmemory-policy allkeys-random maxmemory 1", "SET no room", "CONFIG SET maxmemory 0"],
    ];
    for way in ways {
        let (mut holder, mut client) = (server.client(), server.client());
        let mut waiters = server.clients(3);
        client.run("FLUSHALL");
        client.run("SET other string");
        let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
        server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 0");
        for line in way {
            client.run(line);
        }
        assert!(waiters.iter().all(|waiter| !waiter.has_reply()), "{way:?}");
        assert!(holder.run(&format!("CACHE.FILL page {token} html")).is_nil(), "{way:?}");
        for waiter in &mut waiters {
            assert!(waiter.read().triple().is("HIT", Some("html")), "{way:?}");
        }
        assert!(!client.ask("CACHE.GET page").is("HIT", Some("html")), "{way:?}");
    }
}

#[test]
fn copies_and_renamed_entries_keep_the_value_and_not_the_lease() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html PX 60000");
    let token = client.ask("CACHE.GETORLOCK page FORCE").token();
    client.run("COPY page copy");
    assert!(client.ask("CACHE.GET copy").is("HIT", Some("html")));
    assert!(client.run(&format!("CACHE.FILL copy {token} late")).is_nil());
    client.run("RENAME page renamed");
    assert!(client.ask("CACHE.GET renamed").is("HIT", Some("html")));
    assert!(client.run(&format!("CACHE.FILL renamed {token} late")).is_nil());
}

#[test]
fn after_a_delete_a_new_rebuild_begins_and_both_herds_get_their_own_value() {
    let server = Server::start();
    let (mut old, mut new, mut early, mut late) = (server.client(), server.client(), server.client(), server.client());
    let first = old.ask("CACHE.GETORLOCK page").token();
    server.park(&mut early, "CACHE.GETORLOCK page BLOCK 0");
    new.run("DEL page");
    let second = new.ask("CACHE.GETORLOCK page").token();
    assert!(second > first);
    server.park(&mut late, "CACHE.GETORLOCK page BLOCK 0");

    assert!(old.run(&format!("CACHE.FILL page {first} old")).is_nil());
    assert!(early.read().triple().is("HIT", Some("old")), "it asked before the delete");
    assert!(!late.has_reply());
    assert!(new.run(&format!("CACHE.FILL page {second} new")).is_ok());
    assert!(late.read().triple().is("HIT", Some("new")));
    assert!(new.ask("CACHE.GET page").is("HIT", Some("new")));
}

#[test]
fn two_invalidations_with_two_builders_end_with_the_third_ones_value() {
    let server = Server::start();
    let mut builders = server.clients(3);
    let mut tokens = Vec::new();
    for builder in &mut builders {
        builder.run("CACHE.INVALIDATE page");
        tokens.push(builder.ask("CACHE.GETORLOCK page").token());
    }
    for index in [1, 0] {
        assert!(builders[index].run(&format!("CACHE.FILL page {} outdated{index}", tokens[index])).is_nil());
    }
    assert!(builders[2].run(&format!("CACHE.FILL page {} current", tokens[2])).is_ok());
    assert!(builders[0].ask("CACHE.GET page").is("HIT", Some("current")));
}

#[test]
fn a_late_fill_lands_if_nobody_took_over_and_not_otherwise() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.ask("CACHE.GETORLOCK page LEASE 400").token();
    eventually("the lease has run out", || client.ask("CACHE.GET page").number == 0);
    assert!(client.run(&format!("CACHE.FILL page {token} late")).is_ok());
    assert!(client.ask("CACHE.GET page").is("HIT", Some("late")));

    let first = client.ask("CACHE.GETORLOCK other LEASE 100").token();
    eventually("the lease has run out", || client.ask("CACHE.GET other").number == 0);
    let second = client.ask("CACHE.GETORLOCK other").token();
    assert!(client.run(&format!("CACHE.FILL other {first} late")).is_nil());
    assert_eq!(client.run(&format!("CACHE.RELEASE other {first}")).number(), 0, "nor can the old holder end it");
    assert!(client.run(&format!("CACHE.FILL other {second} good")).is_ok());
}

#[test]
fn those_who_joined_a_void_rebuild_ask_again_when_it_is_released_or_runs_out() {
    let server = Server::start();
    for ends_by in ["release", "deadline", "hang-up"] {
        let (mut holder, mut waiter) = (server.client(), server.client());
        holder.run("FLUSHALL");
        let token = holder.ask("CACHE.GETORLOCK page LEASE 500 TIED").token();
        server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
        holder.run("DEL page");
        match ends_by {
            "release" => assert_eq!(holder.run(&format!("CACHE.RELEASE page {token}")).number(), 0),
            "hang-up" => holder.hang_up(),
            _ => {}
        }
        // Nothing is there and nobody rebuilds: decided like a new call, it is granted the lease.
        assert!(waiter.read().triple().is("LOCK", None), "{ends_by}");
    }
}

#[test]
fn those_who_joined_a_void_rebuild_find_a_plain_string_by_its_deadline() {
    let server = Server::start();
    let (mut holder, mut waiter, mut other) = (server.client(), server.client(), server.client());
    holder.ask("CACHE.GETORLOCK page LEASE 200");
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    server.park(&mut other, "CACHE.GETORLOCK page BLOCK 0");
    holder.run("SET page string");
    assert!(waiter.read().triple().is("HIT", Some("string")));
    assert!(other.read().triple().is("HIT", Some("string")));
}

#[test]
fn whoever_asks_again_finds_what_the_key_holds_by_then() {
    let server = Server::start();
    for (verdict, replaced_by, refused) in [
        ("CACHE.RELEASE page <token>", "SET page string", false),
        ("CACHE.FAIL page <token> down", "SET page string", false),
        ("CACHE.PASS page <token>", "SET page string", false),
        ("CACHE.TOUCH page <token>", "SET page string", false),
        ("hang up", "SET page string", false),
        ("CACHE.RELEASE page <token>", "RPUSH page element", true),
        ("hang up", "RPUSH page element", true),
    ] {
        let (mut holder, mut waiter, mut other) = (server.client(), server.client(), server.client());
        other.run("FLUSHALL");
        let token = holder.ask("CACHE.GETORLOCK page TIED LEASE 60000").token();
        server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
        other.run("DEL page");
        other.run(replaced_by);
        match verdict {
            "hang up" => holder.hang_up(),
            _ => drop(holder.run(&verdict.replace("<token>", &token.to_string()))),
        }
        let answer = waiter.read();
        match refused {
            true => assert!(answer.error().starts_with("WRONGTYPE"), "{verdict}: {answer:?}"),
            false => assert!(answer.triple().is("HIT", Some("string")), "{verdict}: {answer:?}"),
        }
        assert_eq!(server.info("corral_live_leases"), 0, "{verdict}");
    }
}

#[test]
fn a_tied_holder_that_hangs_up_after_an_invalidation_frees_those_who_joined_it() {
    let server = Server::start();
    for way in ["DEL page", "CACHE.INVALIDATE page", "RENAME page elsewhere", "FLUSHALL"] {
        let (mut holder, mut waiter, mut other) = (server.client(), server.client(), server.client());
        other.run("FLUSHALL");
        holder.ask("CACHE.GETORLOCK page TIED LEASE 60000");
        server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
        other.run(way);
        holder.hang_up();
        assert!(waiter.read().triple().is("LOCK", None), "{way}");
    }
}

#[test]
fn a_lease_renewed_after_its_deadline_is_a_lease_like_any_other() {
    let server = Server::start();
    let (mut holder, mut waiter) = (server.client(), server.client());
    let token = holder.ask("CACHE.GETORLOCK page TIED LEASE 1000").token();
    eventually("the lease has run out", || server.info("corral_leases_expired") == 1);
    holder.run(&format!("CACHE.RENEW page {token} 60000"));
    assert_eq!(server.info("corral_live_leases"), 1);
    let id = holder.id();
    assert_eq!(holder.run("CACHE.INFO page").field("lease").field("holder").field("id").number(), id);
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    holder.hang_up();
    assert!(waiter.read().triple().is("LOCK", None));
}

#[test]
fn a_lease_renewed_long_after_its_deadline_is_tied_as_before() {
    let server = Server::start();
    let (mut holder, mut other) = (server.client(), server.client());
    // The value keeps the entry, and so the token stays current for as long as nobody takes over.
    other.run("CACHE.SET page html");
    let token = holder.ask("CACHE.GETORLOCK page FORCE TIED LEASE 20").token();
    // More than another length of it: the tie has been let go of.
    other.ask("CACHE.GETORLOCK other LEASE 100");
    eventually("both leases have run out", || server.info("corral_leases_expired") == 2);
    assert_eq!(holder.run(&format!("CACHE.RENEW page {token} 290000")).number(), 290_000);
    assert_eq!(server.info("corral_live_leases"), 1);
    holder.hang_up();
    eventually("the lease has ended with its connection", || server.info("corral_live_leases") == 0);
}

#[test]
fn a_fill_over_another_type_leaves_it_alone() {
    let server = Server::start();
    let (mut holder, mut waiter) = (server.client(), server.client());
    let token = holder.ask("CACHE.GETORLOCK page").token();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    holder.run("DEL page");
    holder.run("RPUSH page element");
    assert!(holder.run(&format!("CACHE.FILL page {token} html")).is_nil());
    assert!(waiter.read().triple().is("HIT", Some("html")));
    assert_eq!(holder.run("LLEN page").number(), 1);
}
