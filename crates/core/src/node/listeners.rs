//! Listeners: clients that are told by a message instead of being parked.

use super::ask::Call;
use super::groups::{GroupId, Queued};
use super::rooms::Listening;
use super::slab::Id;
use super::turn::AT_ONCE;
use super::{Effect, Key, Message, Node, Step};
use crate::answer::State;
use crate::decision::{Ask, Class, Decision, Gate};
use crate::time::{Clock, SteadyMs};

/// How long a permit is kept for a listener's next ask, in ms.
const RESERVED_MS: u64 = 100;

impl Node {
    /// Marks the key for a message, if the caller wants one.
    pub(super) fn listen(&mut self, key: &mut Key, call: &Call, decision: &Decision) {
        let asked = &call.asked;
        if !call.options.notify {
            return;
        }
        let limit = self.settings.max_waiters_per_key;
        let room = self.rooms.open(key.db, key.name);
        let is_stalled = key.is_paused;
        let (mut queued, mut is_new) = (None, false);
        if let Some(open) = self.rooms.get_mut(room) {
            let listening = open.listening.get_or_insert(Listening {
                askers: 0,
                order: asked.order,
                group: asked.group,
                is_queued: false,
            });
            if u64::from(listening.askers) < limit {
                listening.askers += 1;
                is_new = true;
                if matches!(decision, Decision::Full { .. }) && !listening.is_queued {
                    listening.is_queued = true;
                    queued = Some((listening.group, listening.order));
                }
            }
        }
        self.rooms.listeners += u64::from(is_new);
        if self.rooms.get(room).and_then(|open| open.listening).is_some_and(|listening| listening.askers == 0) {
            // A limit of 0: nobody listens.
            if let Some(open) = self.rooms.get_mut(room) {
                open.listening = None;
            }
            self.rooms.close_if_empty(room);
            return;
        }
        if let Some((due, order)) = queued {
            if let Some(group) = self.groups.get_mut(due) {
                group.enqueue(order, Queued::Listeners(room));
            }
            // The first listener's group, which need not be the one that is full.
            self.due_groups.insert(due);
        } else if is_stalled && !matches!(decision, Decision::Behind { .. }) {
            self.stalled.insert(room);
        } else {
            self.await_lease(key, room);
        }
    }

    /// Tells those who listen to the key at hand, if there is something to tell.
    pub(super) fn attend_listeners(&mut self, key: &mut Key, room: Id, clock: Clock, step: &mut Step) {
        let Some(listening) = self.rooms.get(room).and_then(|open| open.listening) else { return };
        self.expire_overdue(listening.group, clock, step);
        let group = self.groups.get(listening.group);
        let gate = group.map_or(Gate::Open, |group| group.gate_of_listener(listening.order, clock));
        let gate = self.gate_beside_reservation(gate, listening.group, Some(room));
        let awaits_trial = group.is_some_and(|group| group.circuit.awaits_trial());
        let ask = Ask { early_beta: 0.0, class: Class::default() };
        match key.entry.decide(ask, clock, || gate.clone(), || 1.0) {
            Decision::Behind { .. } => {
                self.dequeue_listeners(room);
                self.await_lease(key, room);
            }
            Decision::Full { .. } => {
                if !listening.is_queued {
                    if let Some(open) = self.rooms.get_mut(room).and_then(|open| open.listening.as_mut()) {
                        open.is_queued = true;
                    }
                    if let Some(group) = self.groups.get_mut(listening.group) {
                        group.enqueue(listening.order, Queued::Listeners(room));
                    }
                }
            }
            decision if decision.grants() => {
                if listening.is_queued && !awaits_trial {
                    self.reserve(room, listening.group, key);
                }
                self.tell_listeners(room, State::Wait, 0);
            }
            decision => {
                let answer = key.entry.answer(&decision, clock.now);
                self.tell_listeners(room, answer.state(), answer.number());
            }
        }
    }

    /// Has the listeners of a room told, if there are any.
    pub(super) fn tell_listeners(&mut self, room: Id, state: State, number: i64) {
        self.dequeue_listeners(room);
        let Some(open) = self.rooms.get_mut(room) else { return };
        let Some(listening) = open.listening.take() else { return };
        let name = open.name.clone();
        self.rooms.listeners = self.rooms.listeners.saturating_sub(u64::from(listening.askers));
        self.last_message += 1;
        self.messages.insert(self.last_message, Message { name, state, number });
    }

    /// Takes the listeners of a room out of their group's queue.
    pub(super) fn dequeue_listeners(&mut self, room: Id) {
        let Some(listening) = self.rooms.get_mut(room).and_then(|open| open.listening.as_mut()) else { return };
        if core::mem::take(&mut listening.is_queued) {
            let (group, order) = (listening.group, listening.order);
            if let Some(group) = self.groups.get_mut(group) {
                group.dequeue(order);
            }
            self.due_groups.insert(group);
        }
    }

    /// Keeps a permit for the key's next ask.
    pub(super) fn reserve(&mut self, room: Id, group: GroupId, key: &Key) {
        let until = key.moment.steady().plus(RESERVED_MS);
        let Some(of) = self.groups.get_mut(group).filter(|of| !of.is_unlimited()) else { return };
        if let Some(open) = self.rooms.get_mut(room).filter(|open| open.reservation.is_none()) {
            open.reservation = Some((group, until));
            of.reserve();
            self.reservations.insert((until, room));
        }
    }

    /// The key's ask has come, of whatever group, or nobody of the room is waited for any more.
    pub(super) fn drop_reservation(&mut self, room: Id) {
        if let Some((group, until)) = self.rooms.get_mut(room).and_then(|open| open.reservation.take()) {
            self.reservations.remove(&(until, room));
            self.give_up_reservation(group);
        }
    }

    pub(super) fn give_up_reservation(&mut self, group: GroupId) {
        if let Some(of) = self.groups.get_mut(group) {
            of.unreserve();
        }
        self.due_groups.insert(group);
    }

    pub(super) fn end_reservations(&mut self, now: SteadyMs) {
        for _ in 0..AT_ONCE {
            let Some((until, room)) = self.reservations.first().copied().filter(|(until, _)| *until <= now) else {
                return;
            };
            self.reservations.remove(&(until, room));
            if let Some((group, _)) = self.rooms.get_mut(room).and_then(|open| open.reservation.take()) {
                self.give_up_reservation(group);
            }
            self.rooms.close_if_empty(room);
        }
    }

    /// Messages to listeners. One goes to all of a key at once, and is as dear as they are many.
    pub(super) fn publish(&mut self, step: &mut Step) {
        while step.has_room() {
            let Some((_, message)) = self.messages.pop_first() else { return };
            self.counters.messages_published += 1;
            step.effects.push(Effect::Publish(message));
        }
    }
}
