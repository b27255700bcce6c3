//! A parked client, and what is kept of its call.

use crate::decision::Class;
use crate::node::calendar::{Pair, Paired};
use crate::node::groups::GroupId;
use crate::node::heap::{Link, Linked};
use crate::node::leases::ClientId;
use crate::node::slab::{Id, Slab};
use crate::time::SteadyMs;

/// A parked client's number: the record's, and which of those that ever had that number it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct WaiterId(pub u64);

/// A client parked until the rebuild ends.
#[derive(Clone, Debug)]
pub struct Waiter {
    pub(super) link: Link,
    pub(super) by_limit: Pair,
    pub(super) generation: u32,
    pub room: Id,
    /// Its cohort, kept right for the first of each only.
    pub(super) cohort: Id,
    pub ask: Asked,
    /// Its own BLOCK limit; never for BLOCK 0.
    pub gives_up: SteadyMs,
    pub client: ClientId,
    /// When it was parked, in microseconds of the clock that is never set.
    pub since_us: u64,
}

/// What is kept of a call that is decided again.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Asked {
    /// Its place among all asks.
    pub order: u64,
    pub class: Class,
    pub group: GroupId,
    pub lease_ms: u32,
    pub is_tied: bool,
    pub once_ms: Option<u64>,
    /// The node's last tag mark when it asked.
    pub last_mark: u64,
    /// What the source was known to have when it asked.
    pub known_version: Option<u64>,
}

#[derive(Clone, Default, Debug)]
pub(super) struct Waiters(pub(super) Slab<Waiter>);

impl WaiterId {
    pub(in crate::node) const fn record(self) -> Id {
        self.0 as Id
    }
}

impl Linked for Waiters {
    fn link(&self, id: Id) -> Link {
        self.0.get(id).map_or(Link::ALONE, |waiter| waiter.link)
    }

    fn set_link(&mut self, id: Id, link: Link) {
        if let Some(waiter) = self.0.get_mut(id) {
            waiter.link = link;
        }
    }

    fn order(&self, id: Id) -> u64 {
        self.0.get(id).map_or(u64::MAX, |waiter| waiter.ask.order)
    }
}

impl Paired for Waiters {
    fn pair(&mut self, id: Id) -> Option<&mut Pair> {
        self.0.get_mut(id).map(|waiter| &mut waiter.by_limit)
    }
}
