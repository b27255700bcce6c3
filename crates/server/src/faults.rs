//! Panics on demand, in builds with the feature `faults`: so that tests can see what each guard makes of one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

static PLACE: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// How many more visits of the place are let pass.
static PASSES: AtomicU64 = AtomicU64::new(0);
/// How many visits panic after that.
static STRIKES: AtomicU64 = AtomicU64::new(0);

/// After `passes` more visits, the next `strikes` to `place` panic.
pub fn arm(place: &[u8], passes: u64, strikes: u64) {
    *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place.to_vec();
    PASSES.store(passes, Ordering::Relaxed);
    STRIKES.store(strikes, Ordering::Relaxed);
}

/// Panics if this is the place and the time.
#[allow(clippy::panic, reason = "what it is for")]
pub fn strike(place: &str) {
    if STRIKES.load(Ordering::Relaxed) == 0 || *PLACE.lock().unwrap_or_else(PoisonError::into_inner) != place.as_bytes()
    {
        return;
    }
    let passed = PASSES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |passes| passes.checked_sub(1));
    if passed.is_err() {
        STRIKES.fetch_sub(1, Ordering::Relaxed);
        panic!("a fault that was asked for, in {place}");
    }
}
