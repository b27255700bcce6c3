//! What the server told in the middle of its own work, or of ours: noted here, and told to the node before it decides
//! anything.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use corral_core::node::event::Event;
use lazy_static::lazy_static;

lazy_static! {
    static ref INBOX: Mutex<VecDeque<Event>> = Mutex::new(VecDeque::new());
}

/// Above so many events the node is told at once, where it is free: a data set of a million leases is being loaded.
const LIMIT: usize = 1000;

/// Notes what happened. Says whether the inbox should be drained soon.
pub fn post(event: Event) -> bool {
    let mut inbox = INBOX.lock().unwrap_or_else(PoisonError::into_inner);
    inbox.push_back(event);
    inbox.len() > LIMIT
}

/// Gives out what was noted, in the order it happened.
pub fn drain(mut tell: impl FnMut(Event)) {
    while let Some(event) = next() {
        tell(event);
    }
}

/// The lock is not held while the node is told: freeing what an event holds must not find it taken.
fn next() -> Option<Event> {
    INBOX.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}
