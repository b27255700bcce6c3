//! What the node asks of the server while it decides. None of it calls back into the module.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use corral_core::node::rooms::WaiterId;
use corral_core::node::{Environment, Parking, Writes};
use corral_server::{clock, Context, KeyName};

use crate::parked;

/// The server, asked about one key.
pub struct ServerEnvironment<'a> {
    context: &'a Context,
    name: KeyName<'a>,
    /// Asked once per step.
    writes: Option<Writes>,
}

/// Used memory that one parked client costs on every server: two internal clients with their buffers.
const BYTES_PER_CLIENT: u64 = 36 << 10;

/// Memory kept free below `maxmemory` besides, where nothing can be evicted: a herd comes with connections.
const RESERVE_BYTES: u64 = 1 << 20;

/// Connections kept free: the larger of so many and a twentieth of `maxclients`.
const FREE_CLIENTS: u64 = 32;
const FREE_CLIENTS_SHARE: u64 = 20;

/// For how long the number of connected clients is taken to be known, in microseconds, while it is far from its limit:
/// and no longer than until half of those that may still come can have come, each to be parked.
const CLIENTS_KNOWN_US: u64 = 10_000;

/// The server's figures, as they were when last asked: asking costs tens of microseconds.
static MAX_MEMORY: AtomicU64 = AtomicU64::new(UNKNOWN);
/// Whether the policy looks at keys with a time to live alone.
static EVICTS_VOLATILE: AtomicU64 = AtomicU64::new(UNKNOWN);
static MAX_CLIENTS: AtomicU64 = AtomicU64::new(UNKNOWN);
static CLIENTS: AtomicU64 = AtomicU64::new(0);
static CLIENTS_AT_US: AtomicU64 = AtomicU64::new(0);
static ASKED_SINCE: AtomicU64 = AtomicU64::new(0);
const UNKNOWN: u64 = u64::MAX;

/// A setting of the server's changed: its limits are asked again.
pub fn limits_changed() {
    MAX_MEMORY.store(UNKNOWN, Relaxed);
    EVICTS_VOLATILE.store(UNKNOWN, Relaxed);
    MAX_CLIENTS.store(UNKNOWN, Relaxed);
}

impl<'a> ServerEnvironment<'a> {
    pub const fn new(context: &'a Context, name: KeyName<'a>) -> Self {
        Self { context, name, writes: None }
    }

    /// The memory that parked clients may hold in all, and whether one more fits below the limit where it must.
    fn has_memory(&self, waiters: u64, percent: u64) -> bool {
        let flags = self.context.flags();
        if !flags.has_memory_limit() {
            return true;
        }
        let limit = known(&MAX_MEMORY, || self.context.max_memory());
        if waiters.saturating_add(1).saturating_mul(BYTES_PER_CLIENT) > limit / 100 * percent {
            return false;
        }
        if flags.evicts() && self.can_evict() {
            return true;
        }
        let ratio = f64::from(self.context.used_memory_ratio());
        let free = (limit as f64 * (1.0 - ratio)).max(0.0) as u64;
        free >= RESERVE_BYTES + BYTES_PER_CLIENT
    }

    /// Whether the policy finds something: of `volatile-…`, whether any key has a time to live.
    fn can_evict(&self) -> bool {
        let is_volatile = || self.context.maxmemory_policy().map(|policy| u64::from(policy.starts_with("volatile")));
        known(&EVICTS_VOLATILE, is_volatile) == 0 || self.context.volatile_keys() > 0
    }

    /// So that a pool always has connections that can carry a FILL.
    fn has_clients(&self) -> bool {
        let limit = known(&MAX_CLIENTS, || self.context.max_clients());
        let most = limit.saturating_sub(FREE_CLIENTS.max(limit / FREE_CLIENTS_SHARE));
        let now_us = clock::monotonic_us();
        let left = most.saturating_sub(CLIENTS.load(Relaxed));
        let asked_since = ASKED_SINCE.load(Relaxed);
        if asked_since >= left / 2 || now_us.saturating_sub(CLIENTS_AT_US.load(Relaxed)) > CLIENTS_KNOWN_US {
            CLIENTS.store(self.context.connected_clients().unwrap_or(0), Relaxed);
            CLIENTS_AT_US.store(now_us, Relaxed);
            ASKED_SINCE.store(0, Relaxed);
        } else {
            ASKED_SINCE.store(asked_since + 1, Relaxed);
        }
        CLIENTS.load(Relaxed) < most
    }
}

fn known(figure: &AtomicU64, ask: impl FnOnce() -> Option<u64>) -> u64 {
    match figure.load(Relaxed) {
        UNKNOWN => {
            let asked = ask().unwrap_or(UNKNOWN - 1);
            figure.store(asked, Relaxed);
            asked
        }
        known => known,
    }
}

impl Environment for ServerEnvironment<'_> {
    fn random(&mut self) -> f64 {
        clock::random()
    }

    fn writes(&mut self) -> Writes {
        let (context, name) = (self.context, self.name);
        self.writes
            .get_or_insert_with(|| match context.probe(crate::commands::probe::NAME, name) {
                Ok(()) => Writes::Allowed,
                Err(error) if error.starts_with(b"OOM") => Writes::OutOfMemory(error.into()),
                // The server's words of a cluster that is down, and of Valkey 9 on a slot that is not here.
                Err(error) if error.starts_with(b"ERR Can not execute") => {
                    Writes::Refused((*b"CLUSTERDOWN The cluster is down").into())
                }
                Err(error) if error.starts_with(b"ERR Attempted to access") => {
                    Writes::Refused((*b"TRYAGAIN the key's slot is not served here any more, ask again").into())
                }
                Err(error) => Writes::Refused(error.into()),
            })
            .clone()
    }

    fn permits(&mut self, waiter: WaiterId) -> bool {
        is_permitted(self.context, waiter, self.name)
    }

    fn parking(&mut self, waiters: u64, percent: u64) -> Parking {
        if self.context.flags().denies_blocking() {
            Parking::Denied
        } else if !self.has_memory(waiters, percent) {
            Parking::Memory
        } else if !self.has_clients() {
            Parking::Clients
        } else {
            Parking::Possible
        }
    }
}

/// Whether a parked client's user may still ask for its key.
pub fn is_permitted(context: &Context, waiter: WaiterId, name: KeyName) -> bool {
    let permitted = |user: &corral_server::UserName| {
        // Unknown by now: the user was deleted, and its connections are being closed.
        context.is_permitted(user, crate::commands::get_or_lock::NAME, name).unwrap_or(false)
    };
    parked::with_user(waiter, permitted).unwrap_or(true)
}
