//! The server's clock is set, forward and back: nothing is lost, nobody hangs, tokens grow.

use crate::harness::{eventually, Clock, Server};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

#[test]
fn who_is_parked_waits_no_longer_because_the_clock_is_set_back() {
    let Some(clock) = Clock::ahead_by(2 * HOUR) else { return };
    let server = Server::with_clock(&clock);
    let (mut holder, mut patient) = (server.client(), server.client());
    let mut waiters = server.clients(20);
    let token = holder.ask("CACHE.GETORLOCK page LEASE 290000").token();
    server.park(&mut patient, "CACHE.GETORLOCK page BLOCK 0");
    server.park_all(&mut waiters, "CACHE.GETORLOCK page BLOCK 4000");
    clock.set(HOUR);
    for waiter in &mut waiters {
        let answer = waiter.read().triple();
        assert_eq!(answer.state, "WAIT");
        // The lease's deadline is a moment, and an hour further away.
        assert!(answer.number > HOUR * 1000, "{answer:?}");
    }
    assert!(!patient.has_reply());
    assert!(holder.run(&format!("CACHE.FILL page {token} html")).is_ok());
    assert!(patient.read().triple().is("HIT", Some("html")));
}

#[test]
fn a_clock_that_goes_back_and_forth_harms_nothing() {
    let Some(clock) = Clock::ahead_by(0) else { return };
    let mut server = Server::with_clock(&clock);
    let mut last_token = 0;
    for (round, ahead_by) in [DAY, 0, HOUR, -HOUR, -DAY, 300 * DAY, HOUR, 0].into_iter().enumerate() {
        let (mut holder, mut tied, mut other) = (server.client(), server.client(), server.client());
        let (mut patient, mut limited, mut next) = (server.clients(10), server.clients(10), server.client());
        let token = holder.ask(&format!("CACHE.GETORLOCK page-{round} LEASE 20000")).token();
        tied.ask(&format!("CACHE.GETORLOCK tied-{round} TIED")).token();
        assert!(other.run(&format!("CACHE.SET fresh-{round} html EX 100 SWR 100000")).is_ok());
        server.park_all(&mut patient, &format!("CACHE.GETORLOCK page-{round} BLOCK 0"));
        server.park_all(&mut limited, &format!("CACHE.GETORLOCK page-{round} BLOCK 2000"));
        server.park(&mut next, &format!("CACHE.GETORLOCK tied-{round} BLOCK 0"));

        clock.set(ahead_by);
        // A connection's end is no matter of clocks.
        drop(tied);
        let handed_over = next.read().triple().token();
        assert!(handed_over > token.max(last_token), "{handed_over} after {token} and {last_token}");
        last_token = handed_over;
        // Only deadlines that passed with the clock end a lease early.
        for waiter in &mut limited {
            let answer = waiter.read().triple();
            assert!(["WAIT", "LOCK"].contains(&answer.state.as_str()), "{answer:?}");
        }
        let freshness = other.ask(&format!("CACHE.GETORLOCK fresh-{round}"));
        assert!(["HIT", "REFRESH", "LOCK"].contains(&freshness.state.as_str()), "{freshness:?}");
        // Whoever holds the lease by now: a value for everybody who still waits.
        assert!(other.run(&format!("CACHE.SET page-{round} html")).is_ok());
        let answers: Vec<_> = patient.iter_mut().map(|waiter| waiter.read().triple()).collect();
        let hits = answers.iter().filter(|answer| answer.is("HIT", Some("html"))).count();
        let granted = answers.iter().filter(|answer| answer.state == "LOCK").count();
        assert!(hits > 0 && hits + granted == patient.len(), "{answers:?}");
    }
    eventually("nobody is parked", || server.info("corral_waiters") == 0);
    assert!(server.is_alive());
    assert_eq!(server.info("corral_panics_caught"), 0);
}
