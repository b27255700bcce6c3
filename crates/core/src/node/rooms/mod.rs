//! Waiting rooms: the waiters of each key, first come first served, and who listens.
//!
//! A waiter joins the rebuild of one token and stays with it. Waiters of the entry's current token wait for its fill.
//! Those of a voided token (the key was invalidated) wait for a holder that still builds: its void fill answers them,
//! and when its lease ends they are decided anew. So a room's waiters lie in *cohorts*: those of one token, group and
//! class, which are decided alike, together and in no more steps for ten thousand than for one.

use crate::node::calendar::Calendar;
use crate::node::groups::GroupId;
use crate::node::name::Name;
use crate::node::sieve::Sieve;
use crate::node::slab::{Id, Slab};
use crate::time::SteadyMs;
use crate::token::Token;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

mod cohorts;
#[cfg(feature = "model")]
mod facts;
mod waiters;

pub use cohorts::{Cohort, CohortKey};
use waiters::Waiters;
pub use waiters::{Asked, Waiter, WaiterId};

#[derive(Clone, Debug)]
pub struct Room {
    pub db: u32,
    pub name: Name,
    pub waiters: u32,
    pub listening: Option<Listening>,
    /// A permit kept for the next ask: of this group, until then.
    pub reservation: Option<(GroupId, SteadyMs)>,
    /// The lease that who comes waits for.
    pub current: Option<Token>,
    /// Its answer is on its way: who comes to the key now is in another room.
    pub is_leaving: bool,
    /// A visit is due.
    pub is_due: bool,
    /// Void rebuilds whose waiters are being sorted out.
    pub(super) sieves: Vec<Sieve>,
}

/// Clients that are told by a message.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Listening {
    pub askers: u32,
    /// Of the first ask.
    pub order: u64,
    pub group: GroupId,
    /// In its group's queue.
    pub is_queued: bool,
}

#[derive(Clone, Default, Debug)]
pub struct Rooms {
    rooms: Slab<Room>,
    by_name: BTreeMap<(u32, Name), Id>,
    cohorts: Slab<Cohort>,
    by_key: BTreeMap<CohortKey, Id>,
    waiters: Waiters,
    limits: Calendar,
    generation: u32,
    pub listeners: u64,
}

impl Rooms {
    /// How many clients are parked.
    pub fn waiters(&self) -> usize {
        self.waiters.0.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
    }

    pub fn get(&self, room: Id) -> Option<&Room> {
        self.rooms.get(room)
    }

    pub fn get_mut(&mut self, room: Id) -> Option<&mut Room> {
        self.rooms.get_mut(room)
    }

    pub fn find(&self, db: u32, name: &[u8]) -> Option<Id> {
        if self.by_name.is_empty() {
            return None;
        }
        self.by_name.get(&(db, Name::new(name))).copied()
    }

    /// The room of a key, opened if there is none.
    pub fn open(&mut self, db: u32, name: &[u8]) -> Id {
        let name = Name::new(name);
        if let Some(room) = self.by_name.get(&(db, name.clone())) {
            return *room;
        }
        let room = self.rooms.insert(Room {
            db,
            name: name.clone(),
            waiters: 0,
            listening: None,
            reservation: None,
            current: None,
            is_leaving: false,
            is_due: false,
            sieves: Vec::new(),
        });
        self.by_name.insert((db, name), room);
        room
    }

    /// Closes a room that nothing is remembered of. One whose answer is on its way is the answer's to close: its number
    /// must not be another key's before.
    pub fn close_if_empty(&mut self, room: Id) {
        let Some(open) = self.rooms.get(room) else { return };
        if open.waiters == 0 && open.listening.is_none() && open.reservation.is_none() && !open.is_leaving {
            self.by_name.remove(&(open.db, open.name.clone()));
            self.rooms.remove(room);
        }
    }

    /// Closes a room whose answer everybody has.
    pub fn close_left(&mut self, room: Id) {
        self.rooms.remove(room);
    }

    /// The first room by name, at or behind `from`: a walk in slices.
    pub fn next_named(&self, from: Option<(u32, Name)>) -> Option<((u32, Name), Id)> {
        let from = from.map_or(core::ops::Bound::Unbounded, core::ops::Bound::Excluded);
        self.by_name.range((from, core::ops::Bound::Unbounded)).next().map(|(name, room)| (name.clone(), *room))
    }

    /// Takes a room off its name: its waiters all have the same answer, and who comes now is in another.
    pub fn leave_name(&mut self, room: Id) {
        if let Some(open) = self.rooms.get_mut(room).filter(|open| !open.is_leaving) {
            open.is_leaving = true;
            let name = (open.db, open.name.clone());
            self.by_name.remove(&name);
        }
    }
}
