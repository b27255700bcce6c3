//! Work, counted: each look at a record and each comparison of names, tokens or moments is one step. Costs nothing without
//! the feature `steps`, with which the laws of cost are tested.

#[cfg(feature = "steps")]
static TAKEN: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

/// One step is taken.
#[inline]
pub fn step() {
    #[cfg(feature = "steps")]
    TAKEN.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
}

/// How many have been taken.
#[cfg(feature = "steps")]
pub fn taken() -> u64 {
    TAKEN.load(core::sync::atomic::Ordering::Relaxed)
}
