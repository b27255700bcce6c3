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

const BUILD: Duration = Duration::from_millis(100);
const FRESH_MS: i64 = 2000;
const PACE: Duration = Duration::from_millis(20);
const BAR_MS: i64 = 50;

/// One key under a steady stream of requests, with a builder that takes its time.
struct Watch {
    windows: &'static str,
    building: Option<(i64, Instant)>,
    /// How long before its soft deadline each value's refresh began; 0 for too late.
    early_ms: Vec<i64>,
    /// Whether anybody had nothing to use in this period.
    waited: bool,
    periods_waited: usize,
}

impl Watch {
    fn new(windows: &'static str) -> Self {
        Self { windows, building: None, early_ms: Vec::new(), waited: false, periods_waited: 0 }
    }

    fn request(&mut self, client: &mut Client, key: &str) {
        if let Some((token, _)) = self.building.take_if(|(_, since)| since.elapsed() >= BUILD) {
            let fill = format!("CACHE.FILL {key} {token} html PX {FRESH_MS} {}", self.windows);
            assert!(client.run(&fill).is_ok(), "the only builder");
            self.periods_waited += usize::from(std::mem::take(&mut self.waited));
        }
        let answer = client.ask(&format!("CACHE.GETORLOCK {key} EARLY 1"));
        self.waited |= answer.value.is_none();
        if matches!(answer.state.as_str(), "LOCK" | "REFRESH") {
            assert!(self.building.is_none(), "two refreshers at once");
            self.building = Some((answer.token(), Instant::now()));
            self.early_ms.push(client.run(&format!("CACHE.INFO {key}")).field("fresh-ms").number());
        }
    }

    /// Prints what happened beside what the formula says, and returns the share of periods in which nobody waited.
    fn report(&self, key: &str) -> f64 {
        // The first two are the cold start, which is a LOCK, and the value that it built.
        let early_ms = &self.early_ms[1..];
        let share = 1.0 - (self.periods_waited - 1) as f64 / early_ms.len() as f64;
        println!("\n{key}: {} periods, nobody waited in {:.1} %", early_ms.len(), share * 100.0);
        println!("{:>14}  {:>8}  {:>8}", "ms early", "measured", "formula");
        let bars = early_ms.iter().max().unwrap_or(&0) / BAR_MS + 1;
        for (bar, expected) in (0..bars).zip(expectation()) {
            let bar_ms = bar * BAR_MS..(bar + 1) * BAR_MS;
            let measured = early_ms.iter().filter(|ms| bar_ms.contains(ms)).count();
            println!(
                "{:>6} to {:>4}  {measured:>8}  {:>8.1}",
                bar_ms.start,
                bar_ms.end,
                expected * early_ms.len() as f64
            );
        }
        let mean = early_ms.iter().sum::<i64>() as f64 / early_ms.len() as f64;
        println!("on average {mean:.0} ms early");
        share
    }
}

/// The probability that a refresh begins within each bar, soonest before the deadline first: with one request every
/// PACE, each of which refreshes with the probability e^(-left / (build time * beta)), and all phases alike likely.
fn expectation() -> Vec<f64> {
    let pace = PACE.as_millis() as i64;
    let mut bars = vec![0.0; (FRESH_MS / BAR_MS) as usize];
    for phase in 0..pace {
        let mut nobody_yet = 1.0;
        for left in (0..FRESH_MS).rev().filter(|left| left % pace == phase) {
            let refreshes = (-(left as f64) / BUILD.as_millis() as f64).exp();
            bars[(left / BAR_MS) as usize] += nobody_yet * refreshes / pace as f64;
            nobody_yet *= 1.0 - refreshes;
        }
    }
    bars
}

/// A minute of requests; its figures are for people. Run it with
/// `cargo test -p corral --test tests early_refresh_spares -- --ignored --nocapture`.
#[test]
#[ignore = "takes a minute"]
fn early_refresh_spares_nearly_everybody_the_wait() {
    let server = Server::start();
    let mut client = server.client();
    let mut alone = Watch::new("");
    let mut with_swr = Watch::new("SWR 1000");
    let started = Instant::now();
    let mut next = started;
    while started.elapsed() < Duration::from_secs(60) {
        alone.request(&mut client, "alone");
        with_swr.request(&mut client, "with-swr");
        next += PACE;
        sleep(next.saturating_duration_since(Instant::now()));
    }
    alone.report("early refresh alone");
    assert!(with_swr.report("early refresh and SWR") >= 0.95);
}
