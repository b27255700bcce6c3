//! Queues over the keys of a group: whose turn it is, and who keeps its place.

use alloc::vec::Vec;

use super::groups::{GroupId, Queued};
use super::leases::ClientId;
use super::name::Name;
use super::slab::Id;
use super::turn::AT_ONCE;
use super::visits::DUE_AT_ONCE;
use super::{Caller, Key, Node, Step};
use crate::decision::Gate;
use crate::time::{Clock, Moment, SteadyMs, UnixMs};

/// A place in a queue that a connection may come back to.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) db: u32,
    pub(super) name: Name,
    pub(super) order: u64,
    pub(super) until: SteadyMs,
}

/// How long a place in a queue is kept for a connection whose BLOCK ran out, in ms.
const PLACE_KEPT_MS: u64 = 1000;

impl Node {
    /// What a group says to somebody who asked at `order`.
    pub(super) fn gate(&self, group: GroupId, order: u64, room: Option<Id>, clock: Clock) -> Gate {
        let Some(of) = self.groups.get(group) else { return Gate::Open };
        self.gate_beside_reservation(of.gate(order, clock), group, room)
    }

    pub(super) fn gate_beside_reservation(&self, gate: Gate, group: GroupId, room: Option<Id>) -> Gate {
        let is_reserved =
            room.and_then(|room| self.rooms.get(room)?.reservation).is_some_and(|(reserved, _)| reserved == group);
        match gate {
            Gate::Full { .. } if is_reserved => Gate::Open,
            gate => gate,
        }
    }

    /// A lease past its deadline holds no permit, whether or not the timer has come to it.
    pub(super) fn expire_overdue(&mut self, group: GroupId, clock: Clock, step: &mut Step) {
        for _ in 0..DUE_AT_ONCE {
            let Some(record) = self.groups.get(group).and_then(|group| group.overdue(clock)) else { return };
            self.end_by_deadline(record, clock, step);
        }
    }

    /// Puts an undecided cohort into its group's queue, at its first waiter's place.
    pub(super) fn enqueue(&mut self, cohort: Id) {
        let Some(order) = self.rooms.first(cohort).map(|(_, waiter)| waiter.ask.order) else { return };
        let Some(open) = self.rooms.cohort_mut(cohort) else { return };
        let group = open.key.group;
        let before = open.queued_at.replace(order);
        if before == Some(order) {
            return;
        }
        if let Some(of) = self.groups.get_mut(group) {
            if let Some(before) = before {
                of.dequeue(before);
            }
            of.enqueue(order, Queued::Cohort(cohort));
        }
        self.due_groups.insert(group);
    }

    pub(super) fn dequeue(&mut self, cohort: Id) {
        let Some(open) = self.rooms.cohort_mut(cohort) else { return };
        let group = open.key.group;
        if let Some(order) = open.queued_at.take() {
            if let Some(of) = self.groups.get_mut(group) {
                of.dequeue(order);
            }
            self.due_groups.insert(group);
        }
    }

    /// Groups with a permit free, or with a circuit that opened or closed: the first in each queue is looked at.
    pub(super) fn give_turns(&mut self, moment: Moment) {
        let clock = self.clock(moment, false);
        let due: Vec<_> = self.due_groups.iter().copied().take(AT_ONCE).collect();
        for id in due {
            let turn = self.groups.get(id).and_then(|group| group.next_turn(clock));
            let room = match turn {
                None => {
                    self.due_groups.remove(&id);
                    continue;
                }
                Some(Queued::Cohort(cohort)) => self.rooms.cohort(cohort).map(|cohort| cohort.key.room),
                Some(Queued::Listeners(room)) => Some(room),
            };
            match room.filter(|room| self.rooms.get(*room).is_some_and(|open| !open.is_leaving)) {
                Some(room) => {
                    self.visit_room(room);
                }
                None => {
                    self.due_groups.remove(&id);
                }
            }
        }
    }

    /// When the next circuit lets somebody try who queues.
    pub(super) fn circuits_due(&self) -> Option<UnixMs> {
        self.tried.iter().filter_map(|id| self.groups.get(*id)?.next_moment()).min()
    }

    /// Circuits whose time has come.
    pub(super) fn try_again(&mut self, now: UnixMs) {
        let is_due =
            |id: &GroupId| self.groups.get(*id).and_then(|group| group.next_moment()).is_some_and(|until| until <= now);
        let due: Vec<_> = self.tried.iter().copied().filter(is_due).collect();
        for id in due {
            if let Some(group) = self.groups.get_mut(id) {
                group.circuit.half_open(now);
            }
            self.due_groups.insert(id);
        }
    }

    /// The place that a connection whose BLOCK ran out in a queue still has.
    pub(super) fn returning(&mut self, key: &Key, caller: Caller) -> Option<u64> {
        let place = self.places.get(&caller.client).filter(|place| place.db == key.db && *place.name == *key.name)?;
        let (order, until) = (place.order, place.until);
        self.places.remove(&caller.client);
        self.places_by_end.remove(&(until, caller.client));
        (key.moment.steady() < until).then_some(order)
    }

    pub(super) fn keep_place(&mut self, client: ClientId, db: u32, name: Name, order: u64, now: SteadyMs) {
        let until = now.plus(PLACE_KEPT_MS);
        if let Some(before) = self.places.insert(client, Place { db, name, order, until }) {
            self.places_by_end.remove(&(before.until, client));
        }
        self.places_by_end.insert((until, client));
    }

    pub(super) fn end_places(&mut self, now: SteadyMs) {
        for _ in 0..AT_ONCE {
            let Some((until, client)) = self.places_by_end.first().copied().filter(|(until, _)| *until <= now) else {
                return;
            };
            self.places_by_end.remove(&(until, client));
            self.places.remove(&client);
        }
    }
}
