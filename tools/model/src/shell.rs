//! What the module's shell does: shows a key to the node, carries out what it says, lets answers go out.

use corral_core::answer::State;
use corral_core::entry::Entry;
use corral_core::error::Error;
use corral_core::node::event::Event;
use corral_core::node::name::Name;
use corral_core::node::outbox::Outcome;
use corral_core::node::rooms::WaiterId;
use corral_core::node::{Becomes, Effect, Environment, Held, Key, Node, Parking, Reply, Step, Writes};
use corral_core::time::UnixMs;
use corral_core::token::Token;

use crate::book::Rule;
use crate::search::Situation;
use crate::world::{Does, Holds, Slot, World, FULL, REFUSED};

/// What the server says when it is asked.
struct Server {
    writes: usize,
    forbidden: Vec<WaiterId>,
}

impl Environment for Server {
    fn random(&mut self) -> f64 {
        // With a beta of a million, any build at all is long enough for an early refresh.
        0.5
    }
    fn writes(&mut self) -> Writes {
        match self.writes {
            FULL => Writes::OutOfMemory((*b"OOM").into()),
            REFUSED => Writes::Refused((*b"MISCONF").into()),
            _ => Writes::Allowed,
        }
    }
    fn permits(&mut self, waiter: WaiterId) -> bool {
        !self.forbidden.contains(&waiter)
    }
    fn parking(&mut self, _waiters: u64, _percent: u64) -> Parking {
        Parking::Possible
    }
}

/// What a call came to.
pub(crate) struct Called {
    pub reply: Reply,
    pub grants: Vec<(u64, Token)>,
}

impl World {
    /// One call on one key, and what follows.
    pub(crate) fn call(&mut self, at: usize, decide: impl FnOnce(&mut Node, &mut Key) -> Step) -> Called {
        self.expire(at);
        let moment = self.moment();
        let none = Called { reply: Reply::Nothing, grants: Vec::new() };
        let Some(slot) = self.keys.get(at).cloned() else { return none };
        let name = [b'a' + at as u8];
        let (held, mut entry) = match slot.held {
            Holds::Nothing => (Held::Nothing, Entry::vacant()),
            Holds::Entry(entry) => (Held::Entry, *entry),
            Holds::Text => (Held::String { value: Some((*b"text").into()) }, Entry::vacant()),
            Holds::Foreign => (Held::Foreign, Entry::vacant()),
        };
        let forbidden =
            self.clients.iter().filter(|client| client.is_forbidden).filter_map(|client| match client.does {
                Does::Waits(waiter, _) => Some(waiter),
                _ => None,
            });
        let mut environment = Server { writes: self.writes, forbidden: forbidden.collect() };
        let mut key = Key {
            db: 0,
            name: &name,
            held,
            entry: &mut entry,
            expires: slot.expires,
            moment,
            is_paused: self.is_paused,
            environment: &mut environment,
        };
        let step = decide(&mut self.node, &mut key);
        let becomes = match step.becomes {
            Becomes::Same => None,
            Becomes::Removed => Some(Slot { held: Holds::Nothing, expires: UnixMs::NEVER }),
            Becomes::Stored { value, expire_at } => {
                if let Some(replica) = &mut self.replica {
                    replica.sent_entry(at, &entry, value, expire_at);
                }
                Some(Slot { held: Holds::Entry(Box::new(entry)), expires: expire_at })
            }
        };
        if let (Some(becomes), Some(slot)) = (becomes, self.keys.get_mut(at)) {
            if let (Holds::Nothing, Some(replica)) = (&becomes.held, &mut self.replica) {
                replica.sent_removal(at);
            }
            *slot = becomes;
        }
        self.carry_out(step)
    }

    pub(crate) fn carry_out(&mut self, step: Step) -> Called {
        let mut grants = Vec::new();
        for effect in step.effects {
            match effect {
                Effect::Release { waiter, outcome, client, .. } => {
                    if let Some(token) = self.told(waiter, client, &outcome) {
                        grants.push((client, token));
                    }
                }
                Effect::Publish(message) => self.published(&message),
                Effect::Notify(_) | Effect::Expired { .. } | Effect::Built { .. } | Effect::NotParked { .. } => {}
            }
        }
        Called { reply: step.reply, grants }
    }

    pub(crate) fn slot_of(&self, name: &[u8]) -> usize {
        name.first().map_or(0, |letter| usize::from(letter - b'a'))
    }

    pub fn entry(&self, at: usize) -> Option<&Entry> {
        match self.keys.get(at).map(|slot| &slot.held) {
            Some(Holds::Entry(entry)) => Some(entry),
            _ => None,
        }
    }

    /// The server removes a key whose own deadline has passed before anybody sees it.
    pub(crate) fn expire(&mut self, at: usize) {
        let is_over = self.keys.get(at).is_some_and(|slot| slot.expires <= UnixMs::new(self.wall_ms));
        if is_over && !self.is_paused {
            self.unlink(at, Holds::Nothing);
        }
    }

    /// What was in a key leaves it: the module is told.
    pub(crate) fn unlink(&mut self, at: usize, becomes: Holds) {
        let token = self.entry(at).and_then(|entry| entry.lease()).map(|lease| lease.token);
        let was_entry = self.entry(at).is_some();
        if self.entry(at).is_some_and(|entry| entry.value().is_none()) {
            let event = Event::HuskGone { db: 0, name: Name::new(&[b'a' + at as u8]) };
            self.node.event(event, self.moment());
        }
        if was_entry {
            let event = Event::Unlinked { db: 0, name: Name::new(&[b'a' + at as u8]), token };
            self.node.event(event, self.moment());
        }
        if let Some(replica) = &mut self.replica {
            replica.sent_removal(at);
        }
        if let Some(slot) = self.keys.get_mut(at) {
            *slot = Slot { held: becomes, expires: UnixMs::NEVER };
        }
    }

    pub(crate) fn turn(&mut self) {
        let step = self.node.turn(self.moment(), self.is_paused);
        self.carry_out(step);
        // Replicas do not forget marks by themselves: they are told of the floor.
        let floor = if self.is_paused { Vec::new() } else { self.node.take_floor() };
        for record in floor {
            if let Some(replica) = &mut self.replica {
                replica.sent_marks(&record);
            }
        }
    }

    /// Looks at the next key. Whether there was one.
    pub(crate) fn visit(&mut self) -> bool {
        if self.is_paused {
            return false;
        }
        let Some((_, name)) = self.node.next_visit(self.moment()) else { return false };
        let at = self.slot_of(&name);
        self.call(at, Node::visit);
        true
    }

    pub(crate) fn release_all(&mut self) {
        if self.run.is_paced && !self.is_ahead {
            return;
        }
        while self.release_next() {}
    }

    /// One answer goes out. Whether there was one.
    pub(crate) fn release_next(&mut self) -> bool {
        let moment = self.moment();
        self.node.begin_release(moment, None, true);
        let next = self.node.next_release(moment);
        self.node.end_release(moment);
        let Some((released, _)) = next else { return false };
        let is_forbidden = self.clients.iter().any(|client| client.id == released.client && client.is_forbidden);
        // Asked again when its answer goes out.
        let outcome = if is_forbidden { Outcome::Error(Error::NoPermission) } else { released.outcome };
        self.told(released.waiter, released.client, &outcome);
        true
    }

    /// A parked client is told something: it is granted a lease, or done.
    pub(crate) fn told(&mut self, waiter: WaiterId, client: u64, outcome: &Outcome) -> Option<Token> {
        let number = self
            .clients
            .iter()
            .position(|of| of.id == client && matches!(&of.does, Does::Waits(waits, _) if *waits == waiter));
        self.broken.note(Rule::EveryWaiterIsAnsweredOnce, number.is_none());
        let of = self.clients.get_mut(number?)?;
        let Does::Waits(_, parked) = std::mem::replace(&mut of.does, Does::Nothing) else { return None };
        let is_forbidden = std::mem::take(&mut of.is_forbidden);
        let answer = match outcome {
            Outcome::Answer(answer) => answer,
            Outcome::Error(error) => {
                self.seen.note(Situation::AWaiterMeetsAnotherType, *error == Error::WrongType);
                self.seen.note(Situation::AWaiterIsForbidden, *error == Error::NoPermission);
                let is_forbidden = is_forbidden || *error != Error::NoPermission;
                self.broken.note(Rule::NobodyIsRefusedWithoutReason, !is_forbidden);
                self.refused(error);
                return None;
            }
        };
        let gets_something = answer.payload().is_some() || answer.granted().is_some();
        self.broken.note(Rule::WhatTheCallerMayNotItGetsNot, is_forbidden && gets_something);
        let is_late = parked.gives_up_ms.is_some_and(|at| at <= self.steady_ms);
        self.broken.note(Rule::NobodyWaitsBeyondItsBlock, is_late && answer.state() != State::Wait);
        let token = self.answered(client, &parked, answer, true);
        if let (Some(token), Some(of)) = (token, self.clients.get_mut(number?)) {
            (of.does, of.is_handed) = (Does::Builds(token), true);
        }
        token
    }
}
