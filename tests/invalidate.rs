//! The soft purge, and rebuilds that it overtook.

use crate::harness::{eventually, Server};

#[test]
fn the_value_is_stale_now_and_the_windows_begin_now() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page old PX 6000000 SWR 50000 SIE 90000");
    assert_eq!(client.run("CACHE.INVALIDATE page").number(), 1);
    assert!(client.ask("CACHE.GET page").is("STALE", Some("old")));
    assert_eq!(client.run("CACHE.INFO page").field("fresh-ms").number(), 0);
    let ttl = client.run("PTTL page").number();
    assert!((50_001..=90_000).contains(&ttl), "{ttl}");
    assert!(client.ask("CACHE.GETORLOCK page").is("REFRESH", Some("old")));
}

#[test]
fn a_value_without_windows_is_gone() {
    let server = Server::start();
    let mut client = server.client();
    for options in ["", "PX 60000"] {
        client.run(&format!("CACHE.SET page old {options}"));
        assert_eq!(client.run("CACHE.INVALIDATE page").number(), 1);
        assert!(client.ask("CACHE.GET page").is("MISS", None), "{options}");
        assert!(client.ask("CACHE.GETORLOCK page").is("LOCK", None), "{options}");
    }
}

#[test]
fn a_value_that_is_fresh_for_ever_turns_stale_too() {
    let server = Server::start();
    let mut client = server.client();
    // Without a soft deadline, the windows are the settings'.
    client.run("CONFIG SET corral.swr-ms 50000 corral.sie-ms 90000");
    client.run("CACHE.SET page old");
    assert_eq!(client.run("PTTL page").number(), -1);
    assert_eq!(client.run("CACHE.INVALIDATE page").number(), 1);
    let ttl = client.run("PTTL page").number();
    assert!((50_001..=90_000).contains(&ttl), "{ttl}");
    assert!(client.ask("CACHE.GETORLOCK page").is("REFRESH", Some("old")));
}

#[test]
fn many_keys_are_purged_by_one_call_which_counts_the_entries() {
    let server = Server::start();
    let mut client = server.client();
    client.run("SET string text");
    client.ask("CACHE.GETORLOCK placeholder");
    client.run("CACHE.SET stale old PX 20 SWR 600000");
    client.until("CACHE.GET stale", "STALE");
    let mut call = "CACHE.INVALIDATE string nothing placeholder stale".to_owned();
    for key in 0..100 {
        client.run(&format!("CACHE.SET key{key} old PX 600000 SWR 600000"));
        call.push_str(&format!(" key{key}"));
    }
    assert_eq!(client.run(&call).number(), 102);
    for key in 0..100 {
        assert!(client.ask(&format!("CACHE.GET key{key}")).is("STALE", Some("old")));
    }
    assert!(client.ask("CACHE.GET string").is("HIT", Some("text")), "no entry of ours");
    assert!(client.ask("CACHE.GETORLOCK placeholder").is("LOCK", None), "its lease is void");
    assert!(client.run("CACHE.INVALIDATE").error().starts_with("ERR "));
}

#[test]
fn with_two_invalidations_each_herd_gets_its_own_builders_value_and_the_last_one_is_kept() {
    let server = Server::start();
    let mut builders = server.clients(3);
    let mut herds: Vec<_> = (0..3).map(|_| server.clients(5)).collect();
    let mut tokens: Vec<i64> = Vec::new();
    for (builder, herd) in builders.iter_mut().zip(&mut herds) {
        builder.run("CACHE.INVALIDATE page");
        tokens.push(builder.ask("CACHE.GETORLOCK page LEASE 60000").token());
        server.park_all(herd, "CACHE.GETORLOCK page BLOCK 0");
    }
    assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "{tokens:?}");
    // The second builder is done first, then the first: neither's value is stored.
    for index in [1, 0] {
        let fill = format!("CACHE.FILL page {} value{index} PX 60000", tokens[index]);
        assert!(builders[index].run(&fill).is_nil());
        for client in &mut herds[index] {
            assert!(client.read().triple().is("HIT", Some(&format!("value{index}"))));
        }
        assert!(builders[index].ask("CACHE.GET page").is("MISS", None));
    }
    assert!(herds[2].iter().all(|client| !client.has_reply()));
    assert!(builders[2].run(&format!("CACHE.FILL page {} value2 PX 60000", tokens[2])).is_ok());
    for client in &mut herds[2] {
        assert!(client.read().triple().is("HIT", Some("value2")));
    }
    assert!(builders[0].ask("CACHE.GETORLOCK page").is("HIT", Some("value2")));
}

#[test]
fn the_late_builder_of_the_last_invalidation_still_wins_over_earlier_ones_that_come_after_it() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.INVALIDATE page");
    let first = client.ask("CACHE.GETORLOCK page").token();
    client.run("CACHE.INVALIDATE page");
    let second = client.ask("CACHE.GETORLOCK page").token();
    assert!(client.run(&format!("CACHE.FILL page {second} current PX 60000")).is_ok());
    assert!(client.run(&format!("CACHE.FILL page {first} outdated PX 60000")).is_nil());
    assert!(client.ask("CACHE.GET page").is("HIT", Some("current")));
}

#[test]
fn a_forced_refresh_that_is_invalidated_is_not_stored_and_the_next_caller_refreshes() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page old PX 600000 SWR 600000");
    let void = client.ask("CACHE.GETORLOCK page FORCE").token();
    assert_eq!(client.run("CACHE.INVALIDATE page").number(), 1);
    let refresh = client.ask("CACHE.GETORLOCK page");
    assert!(refresh.is("REFRESH", Some("old")) && refresh.token() > void, "{refresh:?}");
    assert!(client.run(&format!("CACHE.FILL page {void} outdated PX 60000")).is_nil());
    assert!(client.ask("CACHE.GET page").is("STALE", Some("old")));
    assert!(client.run(&format!("CACHE.FILL page {} new PX 60000", refresh.token())).is_ok());
    assert!(client.ask("CACHE.GET page").is("HIT", Some("new")));
}

#[test]
fn a_forced_refresh_of_a_value_without_windows_leaves_nothing_when_it_is_invalidated() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page old PX 600000");
    let void = client.ask("CACHE.GETORLOCK page FORCE").token();
    client.run("CACHE.INVALIDATE page");
    assert!(client.run(&format!("CACHE.FILL page {void} outdated PX 60000")).is_nil());
    assert!(client.ask("CACHE.GETORLOCK page").is("LOCK", None));
}

#[test]
fn release_by_an_old_holder_does_not_end_the_new_holders_lease() {
    let server = Server::start();
    let (mut old, mut new, mut waiter) = (server.client(), server.client(), server.client());
    let first = old.ask("CACHE.GETORLOCK page LEASE 50").token();
    eventually("the lease has run out", || old.ask("CACHE.GET page").number == 0);
    let second = new.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    assert_eq!(old.run(&format!("CACHE.RELEASE page {first}")).number(), 0);
    assert!(old.run(&format!("CACHE.RENEW page {first} 1000")).is_nil());
    assert!(old.run(&format!("CACHE.FAIL page {first} down")).is_nil());
    assert!(old.run(&format!("CACHE.PASS page {first}")).is_nil());
    assert!(old.ask("CACHE.GETORLOCK page").is("WAIT", None));
    assert!(!waiter.has_reply());
    assert!(new.run(&format!("CACHE.FILL page {second} html PX 60000")).is_ok());
    assert!(waiter.read().triple().is("HIT", Some("html")));
}

#[test]
fn those_who_joined_a_void_rebuild_join_the_new_one_when_its_old_holder_releases() {
    let server = Server::start();
    let (mut old, mut new, mut early, mut late) = (server.client(), server.client(), server.client(), server.client());
    let first = old.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park(&mut early, "CACHE.GETORLOCK page BLOCK 0");
    new.run("CACHE.INVALIDATE page");
    let second = new.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park(&mut late, "CACHE.GETORLOCK page BLOCK 0");
    assert_eq!(old.run(&format!("CACHE.RELEASE page {first}")).number(), 0);
    // Asked again, it is parked again: somebody rebuilds.
    assert!(!early.has_reply() && server.waiters("page") == 2);
    assert!(new.run(&format!("CACHE.FILL page {second} new PX 60000")).is_ok());
    assert!(early.read().triple().is("HIT", Some("new")));
    assert!(late.read().triple().is("HIT", Some("new")));
}

#[test]
fn those_who_joined_a_void_rebuild_are_served_the_old_value_when_it_is_released() {
    let server = Server::start();
    let (mut holder, mut plain, mut strict) = (server.client(), server.client(), server.client());
    holder.run("CACHE.SET page old PX 20 SIE 600000 SWR 0");
    holder.until("CACHE.GET page", "STALE");
    let token = holder.ask("CACHE.GETORLOCK page LEASE 60000").token();
    server.park(&mut plain, "CACHE.GETORLOCK page BLOCK 0");
    server.park(&mut strict, "CACHE.GETORLOCK page BLOCK 0 NOSTALE");
    holder.run("CACHE.SET other html PX 600000 SWR 600000");
    // A newer value, stale but servable, comes in the place of the rebuild that they wait for.
    holder.run("RENAME other page");
    holder.run("CACHE.INVALIDATE page");
    assert_eq!(holder.run(&format!("CACHE.RELEASE page {token}")).number(), 0);
    let refresh = plain.read().triple();
    assert!(refresh.is("REFRESH", Some("html")), "{refresh:?}");
    assert!(!strict.has_reply());
    assert!(plain.run(&format!("CACHE.FILL page {} new", refresh.token())).is_ok());
    assert!(strict.read().triple().is("HIT", Some("new")));
}
