//! Early refresh (XFetch): the one who refreshes does so before anybody would have to wait.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{ask_together, eventually, Client, Server};

/// Fills a key whose build took as long as the lease: a late fill that nobody overtook.
fn build(client: &mut Client, key: &str, build_ms: u64, options: &str) {
    let token = client.ask(&format!("CACHE.GETORLOCK {key} LEASE {build_ms}")).token();
    eventually("the lease has run out", || client.ask(&format!("CACHE.GET {key}")).number == 0);
    assert!(client.run(&format!("CACHE.FILL {key} {token} html {options}")).is_ok());
}

#[test]
fn the_build_time_is_measured_by_the_server() {
    let server = Server::start();
    let mut client = server.client();
    build(&mut client, "page", 200, "PX 600000");
    let build_ms = client.run("CACHE.INFO page").field("build-ms").number();
    assert!((200..=30_000).contains(&build_ms), "{build_ms}");
}

#[test]
fn a_value_whose_build_time_is_unknown_is_never_refreshed_early() {
    let server = Server::start();
    let mut client = server.client();
    client.run("CACHE.SET page html PX 600000");
    for _ in 0..2000 {
        assert!(client.ask("CACHE.GETORLOCK page EARLY 100").is("HIT", Some("html")));
    }
    // Nor is one that never turns stale.
    build(&mut client, "for-ever", 100, "");
    for _ in 0..2000 {
        assert!(client.ask("CACHE.GETORLOCK for-ever EARLY 100").is("HIT", Some("html")));
    }
}

#[test]
fn there_are_never_two_early_refreshers_at_once() {
    let server = Server::start();
    let mut client = server.client();
    build(&mut client, "page", 500, "PX 20000");
    let mut herd = server.clients(200);
    let mut last = 0;
    for turn in 0..5 {
        let mut tokens = Vec::new();
        eventually("somebody refreshes early", || {
            ask_together(&mut herd, "CACHE.GETORLOCK page EARLY 100 BLOCK 0 LEASE 60000", |_, answer| {
                assert!(answer.is("HIT", Some("html")) || answer.is("REFRESH", Some("html")), "{answer:?}");
                if answer.state == "REFRESH" {
                    tokens.push(answer.token());
                }
            });
            !tokens.is_empty()
        });
        assert!(tokens.len() == 1 && tokens[0] > last, "turn {turn}: {tokens:?}");
        last = tokens[0];
        // The winner gives up: somebody else may be early now.
        assert_eq!(client.run(&format!("CACHE.RELEASE page {last}")).number(), 1);
    }
    assert_eq!(server.info("corral_early_refreshes"), 5);
}

#[test]
fn when_the_early_refresher_dies_another_may_refresh() {
    let server = Server::start();
    let mut client = server.client();
    build(&mut client, "page", 500, "PX 20000");
    let mut refresher = server.client();
    let first = refresher.until("CACHE.GETORLOCK page EARLY 100 TIED LEASE 60000", "REFRESH").token();
    assert!(client.ask("CACHE.GETORLOCK page EARLY 100").is("HIT", Some("html")));
    refresher.hang_up();
    let next = client.until("CACHE.GETORLOCK page EARLY 100 LEASE 50", "REFRESH").token();
    assert!(next > first);
    // And when that one's deadline passes, too.
    assert!(client.until("CACHE.GETORLOCK page EARLY 100", "REFRESH").token() > next);
}

#[test]
fn the_setting_is_for_those_who_name_none_and_zero_turns_it_off() {
    let server = Server::start();
    let mut client = server.client();
    build(&mut client, "page", 500, "PX 20000");
    for _ in 0..1000 {
        assert!(client.ask("CACHE.GETORLOCK page").is("HIT", Some("html")), "off by default");
    }
    assert!(client.run("CONFIG SET corral.early-beta 100").is_ok());
    for _ in 0..1000 {
        assert!(client.ask("CACHE.GETORLOCK page EARLY 0").is("HIT", Some("html")));
    }
    assert!(client.until("CACHE.GETORLOCK page", "REFRESH").is("REFRESH", Some("html")));
    assert!(client.run("CONFIG SET corral.early-beta 1.5").is_ok());
    assert_eq!(client.run("CONFIG GET corral.early-beta").list()[1].text(), "1.5");
    for beta in ["-1", "x", "NaN", "inf", "1e999", "101"] {
        let refused = client.run(&format!("CONFIG SET corral.early-beta {beta}"));
        assert!(refused.error().starts_with("ERR "), "{beta}: {refused:?}");
        let refused = client.run(&format!("CACHE.GETORLOCK page EARLY {beta}"));
        assert!(refused.error().starts_with("ERR "), "{beta}: {refused:?}");
    }
}

const PACE_MS: i64 = 20;
const BUILD_MS: i64 = 100;
const FRESH_MS: i64 = 2000;
const BAR_MS: i64 = 50;

/// One key under a steady stream of requests, with a builder that takes its time.
struct Watch {
    key: String,
    windows: &'static str,
    /// The token, and how many requests come before the fill.
    building: Option<(i64, i64)>,
    /// How long before its soft deadline each value's refresh began; 0 for too late.
    early_ms: Vec<i64>,
    build_ms: Vec<i64>,
    /// Whether anybody had nothing to use in this period.
    waited: bool,
    periods_waited: usize,
}

impl Watch {
    fn new(key: String, windows: &'static str) -> Self {
        let (early_ms, build_ms) = (Vec::new(), Vec::new());
        Self { key, windows, building: None, early_ms, build_ms, waited: false, periods_waited: 0 }
    }

    fn request(&mut self, client: &mut Client) {
        let key = &self.key;
        if let Some((token, before)) = &mut self.building {
            *before -= 1;
            if *before == 0 {
                let fill = format!("CACHE.FILL {key} {token} html PX {FRESH_MS} {}", self.windows);
                assert!(client.run(&fill).is_ok(), "the only builder");
                self.build_ms.push(client.run(&format!("CACHE.INFO {key}")).field("build-ms").number());
                self.periods_waited += usize::from(std::mem::take(&mut self.waited));
                self.building = None;
            }
        }
        let answer = client.ask(&format!("CACHE.GETORLOCK {key} EARLY 1"));
        self.waited |= answer.value.is_none();
        if matches!(answer.state.as_str(), "LOCK" | "REFRESH") {
            assert!(self.building.is_none(), "two refreshers at once");
            self.building = Some((answer.token(), BUILD_MS / PACE_MS));
            self.early_ms.push(client.run(&format!("CACHE.INFO {key}")).field("fresh-ms").number());
        }
    }
}

/// Prints what happened beside what the formula says, and returns the share of periods in which nobody waited.
fn report(title: &str, watches: &[Watch]) -> f64 {
    // Without each key's first, the cold start, which is no early refresh and makes everybody wait.
    let early_ms: Vec<i64> = watches.iter().flat_map(|watch| watch.early_ms.iter().skip(1).copied()).collect();
    let build_ms: Vec<i64> = watches.iter().flat_map(|watch| watch.build_ms.iter().copied()).collect();
    let waited: usize = watches.iter().map(|watch| watch.periods_waited.saturating_sub(1)).sum();
    let periods = early_ms.len() as f64;
    let mean = |numbers: &[i64]| numbers.iter().sum::<i64>() as f64 / numbers.len() as f64;
    let share = 1.0 - waited as f64 / periods;
    let formula = expectation();
    println!("\n{title}: {} keys, {periods} periods, nobody waited in {:.1} %", watches.len(), share * 100.0);
    println!("{:>14}  {:>8}  {:>8}", "ms early", "measured", "formula");
    let bars = early_ms.iter().max().unwrap_or(&0) / BAR_MS + 1;
    for (bar, expected) in (0..bars).zip(&formula) {
        let bar_ms = bar * BAR_MS..(bar + 1) * BAR_MS;
        let measured = early_ms.iter().filter(|ms| bar_ms.contains(ms)).count();
        println!("{:>6} to {:>4}  {measured:>8}  {:>8.1}", bar_ms.start, bar_ms.end, expected * periods);
    }
    let in_time: f64 = formula.iter().skip((BUILD_MS / BAR_MS) as usize).sum();
    let began_in_time = early_ms.iter().filter(|ms| **ms >= BUILD_MS).count() as f64 / periods;
    println!(
        "begun at least {BUILD_MS} ms early: {:.1} %, by the formula {:.1} %",
        began_in_time * 100.0,
        in_time * 100.0
    );
    println!("on average {:.0} ms early, builds took {:.0} ms", mean(&early_ms), mean(&build_ms));
    share
}

/// The probability that a refresh begins within each bar, the one next to the deadline first: with a request every
/// PACE_MS, each of which refreshes with the probability e^(-left / (build time * beta)), and all phases alike likely.
fn expectation() -> Vec<f64> {
    let mut bars = vec![0.0; (FRESH_MS / BAR_MS) as usize];
    for phase in 0..PACE_MS {
        let mut nobody_yet = 1.0;
        for left in (0..FRESH_MS).rev().filter(|left| left % PACE_MS == phase) {
            let refreshes = (-(left as f64) / BUILD_MS as f64).exp();
            bars[(left / BAR_MS) as usize] += nobody_yet * refreshes / PACE_MS as f64;
            nobody_yet *= 1.0 - refreshes;
        }
    }
    bars
}

/// A minute of requests, 50 a second for each key; the figures are for people. Run it with
/// `cargo test -p corral --test tests early_refresh_spares -- --ignored --nocapture`.
///
/// At this pace the formula alone begins in time, a build before the deadline, in fewer than 95 % of the periods. The
/// rest is what a stale-while-revalidate window is for.
#[test]
#[ignore = "takes a minute"]
fn early_refresh_spares_nearly_everybody_the_wait() {
    let server = Server::start();
    let mut client = server.client();
    let many = |name: &str, windows| (0..10).map(|key| Watch::new(format!("{name}{key}"), windows)).collect::<Vec<_>>();
    let (mut alone, mut with_swr) = (many("alone", ""), many("with-swr", "SWR 1000"));
    let started = Instant::now();
    let mut next = started;
    while started.elapsed() < Duration::from_secs(60) {
        alone.iter_mut().chain(&mut with_swr).for_each(|watch| watch.request(&mut client));
        next += Duration::from_millis(PACE_MS as u64);
        sleep(next.saturating_duration_since(Instant::now()));
    }
    report("early refresh alone", &alone);
    assert!(report("early refresh and SWR", &with_swr) >= 0.95);
}
