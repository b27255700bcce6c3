//! Laws of cost: what one input takes, in steps, beside ten, a thousand and a hundred thousand of whatever there can be.
//!
//! A step is a look at a record, a comparison of names, tokens or moments (`corral_core::steps`), an allocation, a piece
//! of memory given back, or 64 bytes that are copied because something grows. One input takes at most 64 times the
//! logarithm of what there is; one turn of the timer has at most a few hundred pieces of such work, whatever is due.
//! Run by `cargo test -p corral-core --features steps --test laws`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test fails by panicking, and needs a part of the world"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use corral_core::codec::MarksRecord;
use corral_core::node::event::Event;
use corral_core::node::loading::{LoadedFrom, LoadedLease};
use corral_core::node::name::Name;
use corral_core::steps::taken;
use world::World;

mod world;

/// The system's memory, counted: what is copied or given back one by one would be seen nowhere else.
struct Counting;

static MEMORY_STEPS: AtomicU64 = AtomicU64::new(0);

// SAFETY: all of it is the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MEMORY_STEPS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        MEMORY_STEPS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        MEMORY_STEPS.fetch_add(1 + layout.size() as u64 / 64, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static MEMORY: Counting = Counting;

const SIZES: [u64; 3] = [10, 1_000, 100_000];

/// Of one input.
const PER_INPUT: u64 = 64;
/// Of one turn, with its visits and releases: each of its pieces is an input's worth at the most.
const PER_TURN: u64 = 64 * 150;

struct Law {
    n: u64,
    name: &'static str,
    dearest: u64,
}

impl Law {
    fn new(name: &'static str, n: u64) -> Self {
        Self { n, name, dearest: 0 }
    }

    fn bound(&self, times: u64) -> u64 {
        times * u64::from((self.n + 2).ilog2() + 1)
    }

    /// One input.
    fn input<T>(&mut self, what: &str, act: impl FnOnce() -> T) -> T {
        self.counted(what, PER_INPUT, act)
    }

    /// One turn.
    fn turn(&mut self, what: &str, w: &mut World) {
        self.counted(what, PER_TURN, || w.turn());
        w.move_clocks(1000);
    }

    fn counted<T>(&mut self, what: &str, times: u64, act: impl FnOnce() -> T) -> T {
        let before = taken() + MEMORY_STEPS.load(Relaxed);
        let value = act();
        let steps = taken() + MEMORY_STEPS.load(Relaxed) - before;
        self.dearest = self.dearest.max(steps / times.max(1));
        let bound = self.bound(times);
        println!("{:22} n = {:7}: {what:28} {steps:7} steps of {bound}", self.name, self.n);
        assert!(steps <= bound, "{}: {what} takes {steps} steps with n = {}, allowed are {bound}", self.name, self.n);
        value
    }
}

fn key(number: u64) -> String {
    format!("k{number}")
}

/// One after the other: steps are counted for the whole process.
#[test]
fn what_one_input_takes_grows_with_the_logarithm_at_the_most() {
    for n in SIZES {
        leases(n);
        waiters_of_one_key(n);
        rooms(n);
        tokens_of_one_room(n);
        ties_of_one_connection(n);
        queue_of_one_group(n);
        tags(n);
        loads(n);
        pauses(n);
    }
}

fn leases(n: u64) {
    let mut w = World::new();
    let mut law = Law::new("leases", n);
    for number in 0..n {
        w.ask(1, &key(number), "LEASE 1000");
    }
    law.input("ask", || w.ask(2, "new", "LEASE 1000"));
    law.input("ask behind", || w.ask(3, &key(n / 2), ""));
    law.input("renew", || w.renew(1, &key(n / 3), 900, None));
    law.input("invalidate", || w.invalidate(&key(1)));
    law.input("fill", || w.fill(1, &key(2), "v", ""));
    law.input("release", || w.release_lease(1, &key(3)));
    law.input("del", || w.del(&key(4)));
    law.input("list of one", || {
        let wanted = corral_core::request::LeasesWanted { count: 1, min_age_ms: 0, group: None };
        assert_eq!(w.node.leases(&wanted, w.now()).len(), 1);
    });
    w.move_clocks(1_000_000);
    law.input("ask while all are due", || w.ask(3, "other", "LEASE 9000"));
    law.turn("a turn of deadlines", &mut w);
    // The keys are the server's to free.
    w.keys.clear();
    law.input("flush", || w.flush_all());
    law.turn("a turn after it", &mut w);
    assert!(w.most_effects <= 200);
}

fn waiters_of_one_key(n: u64) {
    let mut w = World::new();
    let mut law = Law::new("waiters of one key", n);
    w.node.settings.max_waiters = 1_000_000;
    w.node.settings.max_waiters_per_key = 1_000_000;
    w.ask(1, "k", "LEASE 1000");
    for client in 2..n + 2 {
        w.ask(client, "k", if client % 2 == 0 { "BLOCK 0" } else { "BLOCK 5000 NOSTALE" });
    }
    law.input("one more", || w.ask(n + 2, "k", "BLOCK 0"));
    let middle = *w.parked.keys().nth(n as usize / 2).unwrap();
    law.input("one is gone", || w.node.gone(middle));
    w.parked.remove(&middle);
    law.input("release", || w.release_lease(1, "k"));
    w.deliver();
    w.move_clocks(10_000_000);
    w.busy_ms = 20_000;
    law.turn("a turn of limits", &mut w);
    law.input("set", || w.set("k", "v", ""));
    law.turn("a turn of answers", &mut w);
    assert!(w.most_effects <= 200);
}

fn rooms(n: u64) {
    let mut w = World::new();
    let mut law = Law::new("rooms", n);
    w.node.settings.max_waiters = 1_000_000;
    for number in 0..n {
        w.ask(2 * number + 1, &key(number), "LEASE 1000");
        w.ask(2 * number + 2, &key(number), "BLOCK 0");
    }
    law.input("fill", || w.fill(1, &key(0), "v", ""));
    w.move_clocks(1_000_000);
    law.input("ask while all are due", || w.ask(0, "other", ""));
    law.turn("a turn of handovers", &mut w);
    law.input("role", || w.become_replica());
    law.turn("a turn of its news", &mut w);
    assert!(w.most_effects <= 200);
}

fn tokens_of_one_room(n: u64) {
    let mut w = World::new();
    let mut law = Law::new("tokens of one room", n);
    w.node.settings.max_waiters = 1_000_000;
    w.node.settings.max_waiters_per_key = 1_000_000;
    for number in 0..n {
        w.ask(2 * number + 1, "k", "LEASE 1000");
        w.ask(2 * number + 2, "k", "BLOCK 0");
        w.invalidate("k");
    }
    law.input("void fill", || w.fill(1, "k", "v", ""));
    law.input("ask", || w.ask(0, "k", "LEASE 5000"));
    law.input("gone", || {
        let last = *w.parked.keys().next_back().unwrap();
        w.node.gone(last)
    });
    law.input("set", || w.set("k", "v", ""));
}

fn ties_of_one_connection(n: u64) {
    let mut w = World::new();
    let mut law = Law::new("ties of one connection", n);
    for number in 0..n {
        w.ask(1, &key(number), "TIED");
    }
    law.input("it closes", || w.close(1));
    law.turn("a turn of ties", &mut w);
}

fn queue_of_one_group(n: u64) {
    let mut w = World::grouped("g max 1");
    let mut law = Law::new("queue of one group", n);
    w.node.settings.max_waiters = 1_000_000;
    w.ask(1, "first", "GROUP g LEASE 1000");
    for number in 0..n {
        w.ask(number + 2, &key(number), "GROUP g BLOCK 0 LEASE 1000");
    }
    law.input("one more", || w.ask(0, "new", "GROUP g"));
    law.input("release", || w.release_lease(1, "first"));
    law.turn("the next turn", &mut w);
    let policies = corral_core::policy::parse(b"g max 100000", 300_000).unwrap();
    law.input("a larger max", || w.node.configure_groups(&policies));
    law.turn("a turn of grants", &mut w);
    assert!(w.most_effects <= 200);
}

fn tags(n: u64) {
    let mut w = World::new();
    let mut law = Law::new("tags", n);
    w.node.settings.max_tags = n / 2;
    for number in 0..n {
        w.mark(&[&key(number)], None);
    }
    w.set("k", "v", "TAGS 2 a b");
    law.input("mark", || w.mark(&["a"], None));
    law.input("hit", || w.ask(1, "k", ""));
    w.node.settings.max_tags = 2 * n;
    let moment = w.moment();
    let half = w.node.invalidate_tags(&[b"a"], None, moment).unwrap().token;
    for number in 0..n / 2 {
        w.mark(&[&key(number)], None);
    }
    let floor = MarksRecord { token: half, at: w.now(), swr_ms: None, tags: Vec::new() };
    law.input("a master's floor over half", || w.node.applied_marks(&floor, moment));
    law.turn("a turn after it", &mut w);
    law.input("flush", || w.flush_all());
    law.turn("a turn after it", &mut w);
}

/// A data set with as many leases as the present one is loaded beside it.
fn loads(n: u64) {
    let mut w = World::new();
    let mut law = Law::new("a load beside", n);
    for number in 0..n {
        w.ask(1, &key(number), "LEASE 300000");
    }
    w.become_replica();
    law.input("it begins", || w.event(Event::LoadBegan { beside: true }));
    for number in 0..n {
        let name = Name::new(key(number).as_bytes());
        let from = LoadedFrom::DataSetBeside;
        w.event(Event::Loaded(LoadedLease { db: 0, name, lease: None, youngest: None, from }));
    }
    law.input("it ends", || w.event(Event::LoadEnded { beside: true, succeeded: true }));
    law.turn("a turn after it", &mut w);
    law.turn("another", &mut w);
}

fn pauses(n: u64) {
    let mut w = World::new();
    let mut law = Law::new("rooms in a pause", n);
    w.node.settings.max_waiters = 1_000_000;
    w.pause();
    for number in 0..n {
        w.ask(number + 1, &key(number), "BLOCK 0");
    }
    law.turn("a turn of the pause", &mut w);
    w.is_paused = false;
    law.turn("the first after it", &mut w);
}
