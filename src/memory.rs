//! What the module remembers, in one place: the node, and what the shell needs besides.
//!
//! Reached only through [`with`], by closures that decide and remember. They call nothing of the server that can call
//! back: deleting a key calls into `unlinked`. Callbacks do not come here at all, they post to the inbox, which is
//! drained before each decision. A closure that broke this would find the lock taken and panic into its guard, rather
//! than wait for itself for ever.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

#[cfg(not(feature = "trace"))]
use corral_core::node::Node;
use corral_core::settings::Settings;
use corral_core::time::{Moment, SteadyMs};
use corral_server::clock;
use corral_server::timer::Timer;
use lazy_static::lazy_static;

use crate::inbox;
use crate::latencies::Latencies;
use crate::log::Throttle;
use crate::resets::Resets;

/// With the feature `trace`, a node that writes down what it is told.
#[cfg(feature = "trace")]
type Node = corral_core::trace::Recorder;

/// Everything the module remembers besides the entries, the handles of parked clients and the inbox.
pub struct Memory {
    pub node: Node,
    /// The scheduler's timer and when it rings.
    pub alarm: Option<(Timer, SteadyMs)>,
    /// By how much the server's clock was ahead of the one that is never set when they were last compared, in microseconds.
    pub lead_us: Option<i128>,
    /// Connections that lost a reply and must be closed.
    pub unanswered: Vec<u64>,
    /// In a cluster: when the waiters' slots are looked after again, and behind which room that goes on.
    pub next_probe: SteadyMs,
    pub probed: Option<(u32, corral_core::node::name::Name)>,
    /// From grant to fill, of the rebuilds that ended with a value.
    pub builds: Latencies,
    /// From parking to the end of the wait, whatever ended it.
    pub waits: Latencies,
    pub resets: Resets,
    pub expiry_lines: Throttle,
    pub refusal_lines: Throttle,
}

lazy_static! {
    static ref MEMORY: Mutex<Memory> = Mutex::new(Memory {
        node: new_node(),
        alarm: None,
        lead_us: None,
        unanswered: Vec::new(),
        next_probe: SteadyMs(0),
        probed: None,
        builds: Latencies::default(),
        waits: Latencies::default(),
        resets: Resets::default(),
        expiry_lines: Throttle::default(),
        refusal_lines: Throttle::default(),
    });
}

#[cfg(not(feature = "trace"))]
fn new_node() -> Node {
    Node::new(Settings::default())
}

#[cfg(feature = "trace")]
fn new_node() -> Node {
    Node::new(Settings::default(), crate::trace::sink())
}

/// Runs `body` with the module's memory, after what callbacks have posted. `body` must not call what can call back.
#[allow(clippy::panic, reason = "a call from within itself is a bug, and the guard is the place to end it")]
pub fn with<R>(body: impl FnOnce(&mut Memory) -> R) -> R {
    match lock() {
        Some(mut memory) => {
            #[cfg(feature = "faults")]
            corral_server::faults::strike("state");
            inbox::drain(|event| memory.node.event(event, moment()));
            body(&mut memory)
        }
        None => panic!("the module's memory is used from within itself"),
    }
}

/// As [`with`], but `None` if the memory is in use, and without the inbox.
pub fn try_with<R>(body: impl FnOnce(&mut Memory) -> R) -> Option<R> {
    lock().map(|mut memory| body(&mut memory))
}

/// One reading of both clocks.
pub fn moment() -> Moment {
    Moment { wall_us: clock::now_us(), steady_us: clock::monotonic_us() }
}

fn lock() -> Option<MutexGuard<'static, Memory>> {
    match MEMORY.try_lock() {
        Ok(memory) => Some(memory),
        // A panic while it was held: the guard has had everybody answered with an error on the next turn.
        Err(TryLockError::Poisoned(poisoned)) => Some(PoisonError::into_inner(poisoned)),
        Err(TryLockError::WouldBlock) => None,
    }
}
