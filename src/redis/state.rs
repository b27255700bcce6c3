//! The module's own memory, in one place.
//!
//! Reached only through [`with`], by closures that decide and remember. They call nothing of the server that can call
//! back: deleting a key calls into `unlink`, which needs this memory too. A closure that did it all the same would find
//! the lock taken and panic into its guard, rather than wait for itself for ever.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use corral_lease::time::UnixMs;
use corral_lease::token::{Mint, Token};
use lazy_static::lazy_static;

use super::latencies::Latencies;
use super::ledger::Ledger;
use super::log::Throttle;
use super::resets::Resets;
use super::sys::timer::Timer;
use super::ties::Ties;
use super::waiting::Waiting;
use super::wakes::Wakes;

/// A key and its database: what a waiting room and a lease belong to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    pub db: u32,
    pub key: Box<[u8]>,
}

/// Everything the module remembers besides the entries, which live in their keys.
#[derive(Default)]
pub struct State {
    pub mint: Mint,
    pub waiting: Waiting,
    pub wakes: Wakes,
    pub ledger: Ledger,
    pub ties: Ties,
    /// Leases whose holder is gone, to be ended by the scheduler.
    pub holders_gone: Vec<(Arc<Place>, Token)>,
    /// Connections that lost a reply and must be closed (see `parking`).
    pub unanswered: Vec<u64>,
    /// The scheduler's timer and when it rings.
    pub alarm: Option<(Timer, UnixMs)>,
    /// A panic was caught: what is remembered here may be half done.
    pub distrusted: bool,
    /// The server became master or replica, and the scheduler has not seen to it yet.
    pub role_changed: bool,
    /// By how much the server's clock was ahead of the monotonic one when they were last compared, in microseconds.
    pub clock_lead_us: Option<i128>,
    /// In a cluster: when the waiters' slots are looked after again.
    pub next_probe: Option<UnixMs>,
    /// The waiting rooms that this probe has yet to ask about.
    pub to_probe: Vec<Arc<Place>>,
    /// From grant to fill, of the rebuilds that ended with a value.
    pub builds: Latencies,
    /// From parking to the end of the wait, whatever ended it.
    pub waits: Latencies,
    pub resets: Resets,
    pub expiry_lines: Throttle,
    pub refusal_lines: Throttle,
}

lazy_static! {
    static ref STATE: Mutex<State> = Mutex::new(State::default());
}

/// Runs `body` with the module's memory. `body` must not call what can call back.
#[allow(clippy::panic, reason = "a call from within itself is a bug, and the guard is the place to end it")]
pub fn with<R>(body: impl FnOnce(&mut State) -> R) -> R {
    match lock() {
        Some(mut state) => {
            #[cfg(feature = "faults")]
            super::faults::strike("state");
            body(&mut state)
        }
        None => panic!("the module's memory is used from within itself"),
    }
}

/// As [`with`], but `None` if the memory is in use.
pub fn try_with<R>(body: impl FnOnce(&mut State) -> R) -> Option<R> {
    lock().map(|mut state| body(&mut state))
}

fn lock() -> Option<MutexGuard<'static, State>> {
    match STATE.try_lock() {
        Ok(state) => Some(state),
        // A panic while it was held: the guard has had `distrusted` set, which deals with it.
        Err(TryLockError::Poisoned(poisoned)) => Some(PoisonError::into_inner(poisoned)),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl Place {
    pub fn new(db: u32, key: &[u8]) -> Arc<Self> {
        Arc::new(Self { db, key: key.into() })
    }
}
