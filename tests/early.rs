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
const BARS: usize = (FRESH_MS / BAR_MS) as usize + 1;

/// The probability that one request refreshes, `left_ms` before the deadline.
fn chance(left_ms: i64, build_ms: i64) -> f64 {
    (-(left_ms as f64) / build_ms as f64).exp()
}

fn bar(left_ms: i64) -> usize {
    usize::try_from(left_ms / BAR_MS).unwrap()
}

/// What happened to some keys under a steady stream of requests.
struct Figures {
    /// Refreshes by how early they began, and as many as the formula expects of the requests that were really made.
    begun: [usize; BARS],
    expected: [f64; BARS],
    begun_in_time: usize,
    periods: usize,
    periods_waited: usize,
}

/// One key, with a builder that takes its time.
struct Watch {
    key: String,
    windows: &'static str,
    building: Option<(i64, Instant)>,
    /// The server's measure; 0 before the first fill.
    build_ms: i64,
    /// Whether anybody had nothing to use in this period.
    waited: bool,
}

impl Watch {
    fn request(&mut self, client: &mut Client, figures: &mut Figures) {
        // Half a pace of tolerance: the request that is due when the build is done comes after it.
        const BUILT: Duration = Duration::from_millis((BUILD_MS - PACE_MS / 2) as u64);
        let key = &self.key;
        if let Some((token, _)) = self.building.take_if(|(_, since)| since.elapsed() >= BUILT) {
            let fill = format!("CACHE.FILL {key} {token} html PX {FRESH_MS} {}", self.windows);
            assert!(client.run(&fill).is_ok(), "the only builder");
            // The first is the cold start, for which everybody waits.
            if self.build_ms > 0 {
                figures.periods += 1;
                figures.periods_waited += usize::from(self.waited);
            }
            self.build_ms = client.run(&format!("CACHE.INFO {key}")).field("build-ms").number();
            self.waited = false;
        }
        let answer = client.ask(&format!("CACHE.GETORLOCK {key} EARLY 1"));
        self.waited |= answer.value.is_none();
        let mut left_ms = answer.number;
        if matches!(answer.state.as_str(), "LOCK" | "REFRESH") {
            assert!(self.building.is_none(), "two refreshers at once");
            self.building = Some((answer.token(), Instant::now()));
            left_ms = client.run(&format!("CACHE.INFO {key}")).field("fresh-ms").number();
            if left_ms > 0 {
                figures.begun[bar(left_ms)] += 1;
                figures.begun_in_time += usize::from(left_ms >= BUILD_MS);
            }
        } else if self.building.is_some() {
            return;
        }
        if self.build_ms > 0 && left_ms > 0 {
            figures.expected[bar(left_ms)] += chance(left_ms, self.build_ms);
        }
    }
}

impl Figures {
    /// Prints them beside what the formula says, and returns the share of periods in which nobody waited.
    fn report(&self, title: &str) -> f64 {
        let periods = self.periods as f64;
        let share = 1.0 - self.periods_waited as f64 / periods;
        println!("\n{title}: {periods} periods, nobody waited in {:.1} %", share * 100.0);
        println!("{:>14}  {:>8}  {:>14}  {:>14}", "ms early", "measured", "these requests", "steady requests");
        let (steady, in_time) = steady();
        let last = self.begun.iter().rposition(|count| *count > 0).unwrap_or(0);
        for (bar, steady) in steady.iter().enumerate().take(last + 1) {
            let from = bar as i64 * BAR_MS;
            let (begun, expected) = (self.begun[bar], self.expected[bar]);
            println!("{from:>6} to {:>4}  {begun:>8}  {expected:>14.1}  {:>14.1}", from + BAR_MS, steady * periods);
        }
        let begun: usize = self.begun.iter().sum();
        println!("{:>14}  {begun:>8}  {:>14.1}", "in all", self.expected.iter().sum::<f64>());
        let began_in_time = self.begun_in_time as f64 / periods * 100.0;
        println!("begun a build before the deadline: {began_in_time:.1} %, steadily {:.1} %", in_time * 100.0);
        share
    }
}

/// By the formula, with a request every PACE_MS and a build of BUILD_MS, all phases alike likely: the probability that
/// a refresh begins within each bar, and that it begins a build or more before the deadline.
fn steady() -> ([f64; BARS], f64) {
    let (mut bars, mut in_time) = ([0.0; BARS], 0.0);
    for phase in 0..PACE_MS {
        let mut nobody_yet = 1.0 / PACE_MS as f64;
        for left_ms in (1..=FRESH_MS).rev().filter(|left_ms| left_ms % PACE_MS == phase) {
            let begins = nobody_yet * chance(left_ms, BUILD_MS);
            bars[bar(left_ms)] += begins;
            in_time += if left_ms >= BUILD_MS { begins } else { 0.0 };
            nobody_yet -= begins;
        }
    }
    (bars, in_time)
}

/// A minute of requests, 50 a second for each of ten keys; the figures are for people. Run it with
/// `cargo test -p corral --test tests early_refresh_spares -- --ignored --nocapture`.
///
/// At this pace the formula alone begins in time, a build before the deadline, in fewer than 95 % of the periods. The
/// rest is what a stale-while-revalidate window is for.
#[test]
#[ignore = "takes a minute"]
fn early_refresh_spares_nearly_everybody_the_wait() {
    let server = Server::start();
    let mut client = server.client();
    let mut groups = [("early refresh alone", ""), ("early refresh and SWR", "SWR 1000")].map(|(title, windows)| {
        let key = |number| format!("{}{number}", title.replace(' ', "-"));
        let watch = |key| Watch { key, windows, building: None, build_ms: 0, waited: false };
        let watches: Vec<Watch> = (0..10).map(key).map(watch).collect();
        let figures =
            Figures { begun: [0; BARS], expected: [0.0; BARS], begun_in_time: 0, periods: 0, periods_waited: 0 };
        (title, watches, figures)
    });
    let started = Instant::now();
    let mut next = started;
    while started.elapsed() < Duration::from_secs(60) {
        for (_, watches, figures) in &mut groups {
            watches.iter_mut().for_each(|watch| watch.request(&mut client, figures));
        }
        // Requests that a stalled machine missed are not made up for.
        next = (next + Duration::from_millis(PACE_MS as u64)).max(Instant::now());
        sleep(next.saturating_duration_since(Instant::now()));
    }
    let [alone, with_swr] = groups.map(|(title, _, figures)| figures.report(title));
    assert!(alone > 0.5, "it is not off");
    assert!(with_swr >= 0.95);
}
