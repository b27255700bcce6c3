//! Stale-while-revalidate and stale-if-error: nobody waits while there is an old value to serve.

use crate::harness::{ask_together, eventually, raise_file_limit, Client, Server};

/// Stores a value and waits until it is stale.
fn set_stale(client: &mut Client, key: &str, windows: &str) {
    assert!(client.run(&format!("CACHE.SET {key} old PX 20 {windows}")).is_ok());
    client.until(&format!("CACHE.GET {key}"), "STALE");
}

#[test]
fn of_a_thousand_clients_one_refreshes_in_each_stale_period_and_nobody_waits() {
    const CLIENTS: usize = 1000;
    const PERIODS: usize = 8;
    raise_file_limit();
    let server = Server::start();
    let mut holder = server.client();
    let mut herd = server.clients(CLIENTS);
    holder.run("CACHE.SET page 0 PX 300 SWR 600000");
    let (mut hits, mut stales) = (0, 0);
    for period in 0..PERIODS {
        let value = period.to_string();
        let mut tokens = Vec::new();
        let mut stale = 0;
        // Round after round, from fresh into stale, and one whole round after the lease is out.
        loop {
            let taken = tokens.len();
            ask_together(&mut herd, "CACHE.GETORLOCK page BLOCK 0 LEASE 60000", |_, answer| {
                assert_eq!(answer.text(), value, "{answer:?}");
                match answer.state.as_str() {
                    "HIT" => hits += 1,
                    "STALE" => stale += 1,
                    "REFRESH" => tokens.push(answer.token()),
                    other => panic!("period {period}: {other}"),
                }
            });
            if taken > 0 {
                break;
            }
        }
        assert_eq!(tokens.len(), 1, "refreshers in period {period}");
        assert!(stale >= CLIENTS, "the whole last round");
        stales += stale;
        assert!(holder.run(&format!("CACHE.FILL page {} {} PX 300 SWR 600000", tokens[0], period + 1)).is_ok());
    }
    assert_eq!(server.info("corral_waiters_peak"), 0);
    assert_eq!(server.info("corral_leases_granted"), PERIODS as i64);
    eprintln!("{PERIODS} stale periods: {PERIODS} REFRESH, {stales} STALE, {hits} HIT, nobody parked");
}

#[test]
fn when_the_refresher_dies_tied_the_next_caller_refreshes() {
    let server = Server::start();
    let mut client = server.client();
    set_stale(&mut client, "page", "SWR 600000");
    let mut refresher = server.client();
    let first = refresher.ask("CACHE.GETORLOCK page TIED LEASE 60000").token();
    assert!(client.ask("CACHE.GETORLOCK page").is("STALE", Some("old")));
    refresher.hang_up();
    let next = client.until("CACHE.GETORLOCK page BLOCK 0", "REFRESH");
    assert!(next.is("REFRESH", Some("old")) && next.token() > first, "{next:?}");
    assert!(client.run(&format!("CACHE.FILL page {first} dead")).is_nil());
    assert!(client.run(&format!("CACHE.FILL page {} new", next.token())).is_ok());
}

#[test]
fn when_the_refreshers_deadline_passes_exactly_one_of_a_hundred_callers_refreshes() {
    let server = Server::start();
    let mut client = server.client();
    set_stale(&mut client, "page", "SWR 600000");
    let first = client.ask("CACHE.GETORLOCK page LEASE 100").token();
    eventually("the lease has run out", || client.ask("CACHE.GET page").number == 0);
    let mut tokens = Vec::new();
    ask_together(&mut server.clients(100), "CACHE.GETORLOCK page BLOCK 0", |_, answer| {
        assert_eq!(answer.text(), "old");
        match answer.state.as_str() {
            "STALE" => {}
            _ => tokens.push(answer.token()),
        }
    });
    assert!(tokens.len() == 1 && tokens[0] > first, "{tokens:?} after {first}");
}

#[test]
fn a_refresher_slower_than_its_lease_lands_its_fill_if_nobody_took_over() {
    let server = Server::start();
    let mut client = server.client();
    set_stale(&mut client, "page", "SWR 600000");
    let token = client.ask("CACHE.GETORLOCK page LEASE 50").token();
    eventually("the lease has run out", || client.ask("CACHE.GET page").number == 0);
    assert!(client.run(&format!("CACHE.FILL page {token} late PX 60000")).is_ok());
    assert!(client.ask("CACHE.GETORLOCK page").is("HIT", Some("late")));
}

#[test]
fn nobody_is_parked_while_an_old_value_may_be_served_whatever_block_says() {
    let server = Server::start();
    let (mut holder, mut client) = (server.client(), server.client());
    for options in ["SWR 600000", "SWR 600000 SIE 10", "SIE 900000 SWR 600000"] {
        set_stale(&mut holder, "page", options);
        assert!(holder.ask("CACHE.GETORLOCK page BLOCK 0").is("REFRESH", Some("old")));
        for ask in ["BLOCK 0", "BLOCK 60000", "BLOCK 0 FORCE", "BLOCK 0 EARLY 1 TIED LEASE 5"] {
            let stale = client.ask(&format!("CACHE.GETORLOCK page {ask}"));
            assert!(stale.is("STALE", Some("old")) && stale.number > 0, "{options}, {ask}: {stale:?}");
        }
    }
    assert_eq!(server.info("corral_waiters_peak"), 0);
}

#[test]
fn nostale_locks_waits_or_parks_instead_of_taking_the_old_value() {
    let server = Server::start();
    let (mut holder, mut client, mut waiter) = (server.client(), server.client(), server.client());
    set_stale(&mut holder, "page", "SWR 600000 SIE 600000");
    let lock = holder.ask("CACHE.GETORLOCK page NOSTALE BLOCK 0");
    assert!(lock.is("LOCK", None), "{lock:?}");
    assert!(client.ask("CACHE.GETORLOCK page NOSTALE").is("WAIT", None));
    server.park(&mut waiter, "CACHE.GETORLOCK page NOSTALE BLOCK 0");
    assert!(client.ask("CACHE.GETORLOCK page BLOCK 0").is("STALE", Some("old")), "others may take it");
    assert!(holder.run(&format!("CACHE.FILL page {} new", lock.token())).is_ok());
    assert!(waiter.read().triple().is("HIT", Some("new")));
}

#[test]
fn a_promoted_waiter_that_said_nostale_is_granted_a_lock_and_not_a_refresh() {
    let server = Server::start();
    let (mut holder, mut waiter) = (server.client(), server.client());
    set_stale(&mut holder, "page", "SWR 600000");
    let token = holder.ask("CACHE.GETORLOCK page").token();
    server.park(&mut waiter, "CACHE.GETORLOCK page NOSTALE BLOCK 0");
    assert_eq!(holder.run(&format!("CACHE.RELEASE page {token}")).number(), 1);
    assert!(waiter.read().triple().is("LOCK", None));
}

#[test]
fn the_stale_if_error_window_is_not_served_without_a_failure() {
    let server = Server::start();
    let (mut holder, mut client, mut waiter) = (server.client(), server.client(), server.client());
    set_stale(&mut holder, "page", "SIE 600000");
    let token = holder.ask("CACHE.GETORLOCK page BLOCK 0 LEASE 60000").token();
    assert!(client.ask("CACHE.GETORLOCK page").is("WAIT", None));
    server.park(&mut waiter, "CACHE.GETORLOCK page BLOCK 0");
    // A holder that gives up is no failure either.
    assert_eq!(holder.run(&format!("CACHE.RELEASE page {token}")).number(), 1);
    let lock = waiter.read().triple();
    assert!(lock.is("LOCK", None), "{lock:?}");
    let answer = waiter.run(&format!("CACHE.FAIL page {} down BACKOFF 60000", lock.token())).triple();
    assert!(answer.is("STALE", Some("old")), "{answer:?}");
    assert!(client.ask("CACHE.GETORLOCK page").is("STALE", Some("old")));
}

#[test]
fn the_key_goes_when_its_last_window_ends() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page old PX 20 SWR 100 SIE 50");
    client.until("CACHE.GET page", "MISS");
    assert_eq!(client.run("EXISTS page").number(), 0);
    assert!(client.ask("CACHE.GETORLOCK page").is("LOCK", None));
}

#[test]
fn settings_are_the_windows_of_those_who_name_none() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CONFIG SET corral.swr-ms 500000 corral.sie-ms 600000");
    set_stale(&mut client, "page", "");
    let info = client.run("CACHE.INFO page");
    assert_eq!((info.field("swr-ms").number(), info.field("sie-ms").number()), (500_000, 600_000));
    assert!(client.ask("CACHE.GETORLOCK page").is("REFRESH", Some("old")));
    client.run("CACHE.SET page old PX 20 SWR 0 SIE 0");
    client.until("CACHE.GET page", "MISS");
}
