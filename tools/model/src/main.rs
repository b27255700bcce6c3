//! Searches everything that can be reached in each run (`--quick`: to a bounded depth) and prints what it found. Fails
//! if a property is broken, or if a run did not come across what it is about. Another word: only runs with it in their
//! name.

use std::process::ExitCode;

use corral_model::run::{quick, thorough};
use corral_model::search::search;

fn main() -> ExitCode {
    let is_quick = std::env::args().any(|word| word == "--quick");
    let only = std::env::args().skip(1).find(|word| !word.starts_with("--")).unwrap_or_default();
    let (runs, threads) = match is_quick {
        // The same states in the same order each time.
        true => (quick(), 1),
        false => (thorough(), std::thread::available_parallelism().map_or(1, usize::from)),
    };
    let mut is_sound = true;
    println!("{:<24} {:>12} {:>12} {:>6} {:>8}", "run", "steps", "states", "depth", "seconds");
    for run in runs.into_iter().filter(|run| run.name.contains(&only)) {
        let found = search(&run, threads);
        let seconds = found.took.as_secs_f64();
        println!("{:<24} {:>12} {:>12} {:>6} {seconds:>8.1}", run.name, found.steps, found.states, found.depth);
        for (property, way) in &found.broken {
            println!("broken: {property}\n  by {way}");
        }
        for situation in &found.missing {
            println!("never came across: {situation}");
        }
        is_sound &= found.broken.is_empty() && found.missing.is_empty();
    }
    match is_sound {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
