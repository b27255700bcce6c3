//! One server: the connection that hits share, those that one caller holds at a time, whether it is out, what it can.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};
use tokio::runtime::{Handle, Id};

use crate::target::{Address, Target};

const KEPT_IDLE: usize = 64;
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the server's module can, and what the user may.
#[derive(Clone, Debug)]
pub struct Features {
    pub version: String,
    /// Commands and options as CACHE.VERSION names them, in lower case.
    pub words: HashSet<String>,
    /// Commands that the ACL refuses.
    pub missing: Vec<String>,
}

/// Nobody panics while holding one of our locks; if somebody did, what it guards is whole all the same.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection of one caller's. Dropped, it is closed, and ends what is tied to it; so it is given back only when the
/// answer to its last question has come.
pub(crate) struct Link {
    pub connection: MultiplexedConnection,
    runtime: Id,
}

/// A connection lives in the runtime that made it, and stands still when nobody runs that: each has its own.
fn runtime() -> Id {
    Handle::current().id()
}

/// More runtimes than that are not alive at once; those that are not have left their connections behind.
const RUNTIMES: usize = 64;

/// Whoever is to try whether an outage is over. Dropped, if only with its runtime, it leaves that to the next.
pub(crate) struct Turn(pub Arc<Node>);

impl Drop for Turn {
    fn drop(&mut self) {
        locked(&self.0.outage).trying = false;
    }
}

#[derive(Default)]
struct Outage {
    error: Option<Arc<str>>,
    pause: Duration,
    again_at: Option<Instant>,
    trying: bool,
}

pub(crate) struct Node {
    pub name: String,
    address: Option<Address>,
    target: Arc<Target>,
    idle: Mutex<Vec<Link>>,
    shared: RwLock<HashMap<Id, (u64, MultiplexedConnection)>>,
    sharing: tokio::sync::Mutex<u64>,
    outage: Mutex<Outage>,
    features: RwLock<Option<Arc<Features>>>,
}

impl Node {
    pub(crate) fn new(target: Arc<Target>, address: Option<Address>) -> Self {
        Node {
            name: address.as_ref().map_or_else(|| target.name(), |at| format!("{}:{}", at.host, at.port)),
            address,
            target,
            idle: Mutex::default(),
            shared: RwLock::default(),
            sharing: tokio::sync::Mutex::new(0),
            outage: Mutex::default(),
            features: RwLock::default(),
        }
    }

    pub(crate) fn features(&self) -> Option<Arc<Features>> {
        self.features.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn learn(&self, features: Option<Arc<Features>>) {
        *self.features.write().unwrap_or_else(PoisonError::into_inner) = features;
    }

    // --- Connections ---

    /// With its number, by which it is left when it turns out to be lost.
    pub(crate) async fn shared(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        if let Some(present) = self.present() {
            return Ok(present);
        }
        let mut last = self.sharing.lock().await;
        if let Some(present) = self.present() {
            return Ok(present);
        }
        if let Some(error) = self.is_out() {
            // Whoever queued behind one that hung must not hang in turn.
            return Err(RedisError::from(std::io::Error::other(error.to_string())));
        }
        let connection = self.target.connect(self.address.as_ref()).await?;
        *last += 1;
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        if shared.len() >= RUNTIMES {
            shared.clear();
        }
        shared.insert(runtime(), (*last, connection.clone()));
        Ok((*last, connection))
    }

    fn present(&self) -> Option<(u64, MultiplexedConnection)> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).get(&runtime()).cloned()
    }

    pub(crate) fn leave_shared(&self, number: u64) {
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|_, (known, _)| *known != number);
    }

    /// The one given back last: it is the least likely to have been closed meanwhile.
    pub(crate) async fn take(&self) -> RedisResult<Link> {
        let runtime = runtime();
        let kept = {
            let mut idle = locked(&self.idle);
            idle.iter().rposition(|link| link.runtime == runtime).map(|at| idle.remove(at))
        };
        match kept {
            Some(link) => Ok(link),
            None => Ok(Link { connection: self.target.connect(self.address.as_ref()).await?, runtime }),
        }
    }

    pub(crate) fn give(&self, link: Link) {
        let mut idle = locked(&self.idle);
        if idle.len() >= KEPT_IDLE {
            idle.remove(0);
        }
        idle.push(link);
    }

    /// A server that restarted, or closed what was idle: everything else that is idle is as old.
    pub(crate) fn drop_idle(&self) {
        locked(&self.idle).clear();
    }

    /// A server that is out, or became a replica: with Sentinel, a new connection finds the new master.
    pub(crate) fn leave(&self) {
        self.drop_idle();
        self.shared.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    // --- Outages. No caller tries whether one is over: a server that hangs would cost it a time-out each time. ---

    pub(crate) fn is_out(&self) -> Option<Arc<str>> {
        locked(&self.outage).error.clone()
    }

    pub(crate) fn out(&self, error: &RedisError) {
        let mut outage = locked(&self.outage);
        if outage.error.is_some() && !outage.trying {
            return; // of a call that was under way when it began
        }
        outage.pause = (outage.pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        outage.again_at = Some(Instant::now() + outage.pause);
        outage.error = Some(error.to_string().into());
    }

    /// For one of those who ask.
    pub(crate) fn turn_to_try(self: &Arc<Self>) -> Option<Turn> {
        let mut outage = locked(&self.outage);
        if outage.error.is_none() || outage.trying || outage.again_at.is_none_or(|at| Instant::now() < at) {
            return None;
        }
        outage.trying = true;
        Some(Turn(self.clone()))
    }

    /// It may be asked again. The pauses begin anew when it has served somebody.
    pub(crate) fn answers(&self) {
        let mut outage = locked(&self.outage);
        outage.error = None;
    }

    pub(crate) fn served(&self) {
        let mut outage = locked(&self.outage);
        outage.error = None;
        outage.pause = Duration::ZERO;
    }
}
