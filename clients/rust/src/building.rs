//! The builds that a task is in the middle of.

use std::any::Any;
use std::future::{poll_fn, Future};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::pin::{pin, Pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::Poll;

use crate::error::Error;

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

/// How a build ended.
pub(crate) enum Made<E> {
    /// As it is stored; and whether others may have it.
    Value(Arc<[u8]>, bool),
    /// What its own caller is given, and what the others are told.
    Failed(Failure<E>, Arc<str>),
}

pub(crate) enum Failure<E> {
    Error(Error<E>),
    /// Goes on in its caller when the others have been told.
    Panic(Panic),
}

pub(crate) type Panic = Box<dyn Any + Send>;

impl<E> Failure<E> {
    pub(crate) fn of_its_caller(self) -> Error<E> {
        match self {
            Failure::Error(error) => error,
            Failure::Panic(panic) => resume_unwind(panic),
        }
    }
}

/// Runs what builds and encodes.
pub(crate) async fn run<E, B>(owner: usize, key: &[u8], degraded: bool, build: B) -> Made<E>
where
    B: Future<Output = Result<Vec<u8>, (Error<E>, Arc<str>)>>,
{
    let outer = current();
    let building = Arc::new(Building {
        owner,
        key: key.to_vec(),
        degraded: degraded || is_degraded(),
        outer,
        private: AtomicBool::new(false),
    });
    match CURRENT.scope(building.clone(), caught(build)).await {
        Ok(Ok(data)) => Made::Value(data.into(), !building.private.load(Ordering::Relaxed)),
        Ok(Err((error, text))) => Made::Failed(Failure::Error(error), text),
        Err(panic) => {
            let text = format!("the build panicked: {}", text_of(&panic));
            Made::Failed(Failure::Panic(panic), text.into())
        }
    }
}

/// A panic of what applications write ends here what was begun for them, and nothing else.
pub(crate) async fn caught<F: Future>(future: F) -> Result<F::Output, Panic> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

pub(crate) fn text_of(panic: &Panic) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "without a text",
    }
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
