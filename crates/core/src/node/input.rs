//! What the node is shown: a key at one moment, who calls, and what it may ask of the server while it decides.

use alloc::sync::Arc;

use super::rooms::WaiterId;
use crate::entry::Entry;
use crate::time::{Moment, UnixMs};

/// One key at one moment, as it is shown to the node.
pub struct Key<'a> {
    pub db: u32,
    pub name: &'a [u8],
    pub held: Held,
    /// What it holds if it is an entry, else a vacant one; the node leaves here what it becomes.
    pub entry: &'a mut Entry,
    /// The key's own deadline in the server; [`UnixMs::NEVER`] if it has none.
    pub expires: UnixMs,
    pub moment: Moment,
    /// The server holds writes back: a pause, a failover, a slot that is handed over.
    pub is_paused: bool,
    pub environment: &'a mut dyn Environment,
}

/// What a key can hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Held {
    Nothing,
    Entry,
    /// An ordinary string: everybody's answer is HIT. `value` where somebody waits for the key.
    String {
        value: Option<Arc<[u8]>>,
    },
    /// Another type: everybody is refused.
    Foreign,
}

/// What the node asks of the server while it decides. None of these may call back into the module.
pub trait Environment {
    /// A draw from 0..=1.
    fn random(&mut self) -> f64;
    /// Whether this key could be written now; asked outside pauses. An executor asks the server once per step.
    fn writes(&mut self) -> Writes;
    /// Whether a parked client's user may still ask for its key.
    fn permits(&mut self, waiter: WaiterId) -> bool;
    /// Whether the caller could be parked, with so many parked already.
    fn parking(&mut self, waiters: u64, percent: u64) -> Parking;
}

/// Whether the server lets a key be written.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub enum Writes {
    Allowed,
    /// Over `maxmemory` with nothing to evict; the server's own error. Leases are granted all the same.
    OutOfMemory(Arc<[u8]>),
    /// MISCONF, NOREPLICAS, a cluster that is down: the server's own error.
    Refused(Arc<[u8]>),
}

/// Whether the server lets the caller be parked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub enum Parking {
    Possible,
    /// MULTI, a script, another module's call.
    Denied,
    /// Parked clients hold as much memory as they may.
    Memory,
    /// Nearly as many clients as may be are connected.
    Clients,
}
