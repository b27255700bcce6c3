//! Random schedules in a virtual world, held against the laws that must hold in any.
//!
//! A schedule is a seed: a failure names it, and `CORRAL_SEED=n` runs that one alone.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::world::World;

mod acts;
mod book;
mod callers;
mod chance;
mod holders;
mod troubles;
mod verdicts;
mod writers;

use book::Book;
use chance::Chance;

const SCHEDULES: u64 = 10_000;
const ACTS_PER_SCHEDULE: u64 = 120;

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
const TAGS: [&str; 3] = ["red", "green", "blue"];
const GROUPS: [&str; 3] = ["default", "g", "h"];

/// One schedule under way.
struct Run {
    w: World,
    book: Book,
    chance: Chance,
    /// Clients 1 to this many; every one has a connection.
    clients: u64,
    /// How often each of them has closed its connection and opened another.
    closed: BTreeMap<u64, u64>,
    clock_was_set_back: bool,
    has_reloaded: bool,
}

#[test]
fn no_schedule_breaks_a_law() {
    if let Some(seed) = std::env::var("CORRAL_SEED").ok().and_then(|seed| seed.parse().ok()) {
        run(seed, true);
        return;
    }
    let began = Instant::now();
    let schedules = std::env::var("SCHEDULES").ok().map_or(SCHEDULES, |number| number.parse().unwrap());
    for seed in 1..=schedules {
        let outcome = std::panic::catch_unwind(|| run(seed, false));
        assert!(outcome.is_ok(), "schedule {seed} breaks a law: CORRAL_SEED={seed} shows it");
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{schedules} schedules in {seconds:.1} s: {:.0} a second", schedules as f64 / seconds);
}

fn run(seed: u64, is_shown: bool) {
    let mut chance = Chance::new(seed);
    let clients = chance.between(4, 300);
    let mut run = Run {
        w: World::new(),
        book: Book::new(is_shown),
        chance,
        clients,
        closed: BTreeMap::new(),
        clock_was_set_back: false,
        has_reloaded: false,
    };
    run.begin();
    for _ in 0..ACTS_PER_SCHEDULE {
        run.act();
        run.check();
    }
    run.end();
}
