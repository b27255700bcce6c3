//! What happens around the module, as the server tells it. Nothing is decided here: what follows is due on the next turn.

use alloc::vec::Vec;

use super::groups::GroupId;
use super::leases::ClientId;
use super::loading::LoadedLease;
use super::name::Name;
use super::{Node, Role};
use crate::error::Error;
use crate::lease::LeaseEnd;
use crate::time::Moment;
use crate::token::Token;

/// Something that happened.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// A connection closed.
    ClientGone {
        client: ClientId,
    },
    RoleChanged {
        is_master: bool,
    },
    /// A database was emptied; `None` for all of them.
    Flushed {
        db: Option<u32>,
    },
    /// Two databases changed places.
    Swapped {
        first: u32,
        second: u32,
    },
    /// An entry is leaving the keyspace, or its name.
    Unlinked {
        db: u32,
        name: Name,
        token: Option<Token>,
    },
    /// A key without a value went before its time.
    HuskGone {
        db: u32,
        name: Name,
    },
    /// An entry was loaded, or came in a payload that may still be refused.
    Loaded(LoadedLease),
    /// A data set begins to be loaded; `beside`: while the present one serves.
    LoadBegan {
        beside: bool,
    },
    /// It is there, or was given up.
    LoadEnded {
        beside: bool,
        succeeded: bool,
    },
    /// A grant did not reach its client.
    GrantLost {
        db: u32,
        name: Name,
        token: Token,
    },
    /// A panic was caught: nobody may depend on what it left half done.
    Poisoned,
}

impl Node {
    pub fn event(&mut self, event: Event, moment: Moment) {
        match event {
            Event::ClientGone { client } => {
                if self.leases.tied_to(client).is_some() {
                    self.gone.insert(client);
                }
                if let Some(place) = self.places.remove(&client) {
                    self.places_by_end.remove(&(place.until, client));
                }
            }
            Event::RoleChanged { is_master } => self.role_changed(is_master),
            Event::Flushed { db } => self.flushed(db, moment),
            Event::Swapped { first, second } => {
                if let Some(last) = self.tokens.last() {
                    self.leases.raise_floor(first, last);
                    self.leases.raise_floor(second, last);
                    self.sweep = Some(0);
                    self.void_trials(moment);
                }
            }
            Event::Unlinked { db, name, token } => self.unlinked(db, &name, token, moment),
            Event::HuskGone { db, name } => self.husks.remove(db, name),
            Event::Loaded(loaded) => self.loaded(loaded, moment),
            Event::LoadBegan { beside: false } => {
                self.is_loading = true;
                self.awaits_first = true;
                self.forget_data_set();
                // It brings its own marks, and its entries are settled by all of them.
                self.tags.reset();
            }
            Event::LoadBegan { beside: true } => self.staged = Some(Vec::new()),
            Event::LoadEnded { beside, succeeded } => self.load_ended(beside, succeeded),
            Event::GrantLost { db, name, token } => {
                self.orphans.insert((db, name.clone(), token), LeaseEnd::Lost);
                self.visit_key(db, name);
            }
            Event::Poisoned => self.draining = Some(Error::Internal),
        }
    }

    fn role_changed(&mut self, is_master: bool) {
        let role = if is_master { Role::Master } else { Role::Replica };
        if core::mem::replace(&mut self.role, role) == role {
            return;
        }
        if is_master {
            // A tied lease that comes from elsewhere has no connection any more.
            self.gone.insert(0);
            self.groups.close_all();
            self.due_groups = self.groups.ids().collect();
        } else {
            self.draining = Some(Error::Unblocked);
        }
    }

    pub(super) fn flushed(&mut self, db: Option<u32>, moment: Moment) {
        if self.awaits_first {
            // Valkey 9 empties its databases after it said that it loads: nothing of what comes is meant.
            return;
        }
        let last = self.tokens.last().unwrap_or(Token::FIRST);
        match db {
            Some(db) => self.leases.raise_floor(db, last),
            None => {
                self.flushed_husks.append(&mut alloc::vec![core::mem::take(&mut self.husks)]);
                for db in self.leases.databases() {
                    self.leases.raise_floor(db, last);
                }
                // Replicas and an AOF are told of the floor: by their own clocks it would rise above what comes next.
                let is_judge = self.is_master() && !self.is_loading;
                if is_judge && (self.tags.len() > 0 || self.tags.floor().get() > 0 || self.tags.are_used()) {
                    if let Some(token) = self.tokens.next(moment.wall_us) {
                        self.tags.flush(token, moment.now());
                    }
                }
            }
        }
        self.sweep = Some(0);
        self.void_trials(moment);
    }

    /// A trial that a flush or a swap has voided is none any more: the next caller is.
    fn void_trials(&mut self, moment: Moment) {
        let is_void = |id: &GroupId| {
            let trial = self.groups.get(*id).and_then(|group| group.circuit.trial());
            trial.is_some_and(|token| self.leases.is_token_floored(token))
        };
        let void: Vec<GroupId> = self.tried.iter().copied().filter(is_void).collect();
        for id in void {
            if let Some(token) = self.groups.get(id).and_then(|group| group.circuit.trial()) {
                self.note(id, token, LeaseEnd::Voided, b"", moment.now());
            }
        }
    }

    fn unlinked(&mut self, db: u32, name: &Name, token: Option<Token>, moment: Moment) {
        if let Some(token) = token {
            if let Some(record) = self.leases.find(db, name, token) {
                self.end_of(record, LeaseEnd::Voided, b"", moment.now());
            }
        }
        if let Some(room) = self.rooms.find(db, name) {
            self.visit_room(room);
        }
    }
}
