//! The bounded search. `make model` searches everything that can be reached.

#![allow(clippy::panic, reason = "a test fails by panicking")]

// Every document that names a test names one that there is.
mod proof;

use corral_model::run::quick;
use corral_model::search::search;

#[test]
fn the_rules_hold_in_every_state_of_the_bounded_search() {
    for run in quick() {
        let found = search(&run, 2);
        assert!(found.broken.is_empty(), "{}: {:#?}", run.name, found.broken);
        assert!(found.missing.is_empty(), "{} never came across {:?}", run.name, found.missing);
        assert!(found.states > 200, "{}: only {} states", run.name, found.states);
    }
}
