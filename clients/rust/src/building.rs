//! The builds that a task is in the middle of.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// A caller's function. Boxed, so that what follows is compiled once for each kind of value and not for each function.
pub(crate) type Build<T, E> = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<T, E>> + Send>> + Send>;

pub(crate) fn boxed<T, E, F>(build: impl FnOnce() -> F + Send + 'static) -> Build<T, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    Box::new(move || Box::pin(build()))
}

tokio::task_local! {
    static CURRENT: Arc<Building>;
}

struct Building {
    /// The Corral it belongs to.
    owner: usize,
    key: Vec<u8>,
    outer: Option<Arc<Building>>,
    /// Runs in one of the places of `degrade_limit`: a nested build needs no other.
    degraded: bool,
    private: AtomicBool,
}

fn current() -> Option<Arc<Building>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// What the build made, and whether others may have it.
pub(crate) async fn run<B: Future>(owner: usize, key: &[u8], degraded: bool, build: B) -> (B::Output, bool) {
    let outer = current();
    let building = Arc::new(Building {
        owner,
        key: key.to_vec(),
        degraded: degraded || is_degraded(),
        outer,
        private: AtomicBool::new(false),
    });
    let made = CURRENT.scope(building.clone(), build).await;
    (made, !building.private.load(Ordering::Relaxed))
}

/// Called within a build: its value is its caller's only, and for a while everybody builds for himself. Says whether it
/// was called in a build: not in a task that the build has spawned.
pub fn do_not_share() -> bool {
    let building = current();
    if let Some(building) = &building {
        building.private.store(true, Ordering::Relaxed);
    }
    building.is_some()
}

pub(crate) fn is_degraded() -> bool {
    current().is_some_and(|building| building.degraded)
}

/// The keys that this task is building, outermost first.
pub(crate) fn keys(owner: usize) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut next = current();
    while let Some(building) = next {
        if building.owner == owner {
            keys.insert(0, building.key.clone());
        }
        next = building.outer.clone();
    }
    keys
}
