//! What all callers of a run write down.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Instant;

pub(super) struct Books {
    begun: Instant,
    /// Every key once, in no order.
    order: Vec<usize>,
    next: Cell<usize>,
    /// When each build was stored, in seconds. No key is built twice: its entry outlives the run.
    built: RefCell<Vec<f64>>,
    /// Leases granted, as far as their callers have read it, and not ended by a verdict of theirs.
    pub(super) building: Gauge,
    /// The most queries that the database said were running.
    most_running: Cell<f64>,
    /// What each request took, in seconds.
    requests: RefCell<Vec<f64>>,
    /// Requests that came to nothing, by why.
    failures: RefCell<BTreeMap<&'static str, usize>>,
}

/// How many there are, and were at most.
#[derive(Default)]
pub(super) struct Gauge {
    now: Cell<usize>,
    most: Cell<usize>,
}

impl Books {
    pub(super) fn new(keys: usize) -> Self {
        let mut order: Vec<usize> = (0..keys).collect();
        fastrand::Rng::with_seed(SEED).shuffle(&mut order);
        Self {
            begun: Instant::now(),
            order,
            next: Cell::default(),
            built: RefCell::default(),
            building: Gauge::default(),
            most_running: Cell::default(),
            requests: RefCell::default(),
            failures: RefCell::default(),
        }
    }

    /// A key that nobody has asked for yet; once all were asked for, from the beginning again.
    pub(super) fn next_key(&self) -> usize {
        let next = self.next.get();
        self.next.set(next + 1);
        self.order.get(next % self.order.len().max(1)).copied().unwrap_or_default()
    }

    pub(super) fn note_build(&self) {
        self.built.borrow_mut().push(self.begun.elapsed().as_secs_f64());
    }

    pub(super) fn note_running(&self, queries: f64) {
        self.most_running.set(self.most_running.get().max(queries));
    }

    pub(super) fn note_request(&self, asked: Instant) {
        self.requests.borrow_mut().push(asked.elapsed().as_secs_f64());
    }

    pub(super) fn note_failure(&self, why: &'static str) {
        *self.failures.borrow_mut().entry(why).or_default() += 1;
    }

    pub(super) fn keys(&self) -> usize {
        self.order.len()
    }

    pub(super) fn warm(&self) -> usize {
        self.built.borrow().len()
    }

    pub(super) fn is_done(&self) -> bool {
        self.warm() >= self.keys()
    }

    /// When so many builds were stored.
    pub(super) fn built_at(&self, how_many: usize) -> Option<f64> {
        self.built.borrow().get(how_many.checked_sub(1)?).copied()
    }

    /// How many were stored by then.
    pub(super) fn built_by(&self, seconds: f64) -> usize {
        self.built.borrow().partition_point(|at| *at <= seconds)
    }

    pub(super) fn most_running(&self) -> f64 {
        self.most_running.get()
    }

    /// In order of their length.
    pub(super) fn requests(&self) -> Vec<f64> {
        let mut requests = self.requests.borrow().clone();
        requests.sort_unstable_by(f64::total_cmp);
        requests
    }

    pub(super) fn failures(&self) -> BTreeMap<&'static str, usize> {
        self.failures.borrow().clone()
    }
}

impl Gauge {
    pub(super) fn enter(&self) {
        self.now.set(self.now.get() + 1);
        self.most.set(self.most.get().max(self.now.get()));
    }

    pub(super) fn leave(&self) {
        self.now.set(self.now.get().saturating_sub(1));
    }

    pub(super) fn most(&self) -> usize {
        self.most.get()
    }
}

/// Each way meets the keys in the same order.
const SEED: u64 = 7;
