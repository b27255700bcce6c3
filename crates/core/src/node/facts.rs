//! For the model checker: what of a node can make a difference later, so that it knows which states are the same.
//!
//! Each fact says what its number means: moments count from now, tokens and places by their rank, connections by who
//! comes first. Left out is what is only counted or shown.

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use super::leases::ClientId;
use super::outbox::{Batch, Outcome, Source};
use super::rooms::WaiterId;
use super::slab::Id;
use super::Node;
use crate::time::{SteadyMs, UnixMs};
use crate::token::Token;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fact {
    Number(u64),
    Wall(UnixMs),
    Steady(SteadyMs),
    /// 0 for none.
    Token(u64),
    /// A place among all asks; 0 for none.
    Order(u64),
    /// 0 for nobody.
    Client(ClientId),
}

#[derive(Clone, Default, Debug)]
pub struct Facts(pub Vec<Fact>);

/// FNV-1a: the same on every machine and in every run.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Facts {
    pub fn number(&mut self, number: u64) {
        self.0.push(Fact::Number(number));
    }

    pub fn numbers(&mut self, numbers: &[u64]) {
        self.0.extend(numbers.iter().map(|number| Fact::Number(*number)));
    }

    pub fn flag(&mut self, flag: bool) {
        self.number(u64::from(flag));
    }

    pub fn flags(&mut self, flags: &[bool]) {
        self.number(flags.iter().fold(1, |all, flag| all << 1 | u64::from(*flag)));
    }

    pub fn wall(&mut self, moment: UnixMs) {
        self.0.push(Fact::Wall(moment));
    }

    pub fn steady(&mut self, moment: SteadyMs) {
        self.0.push(Fact::Steady(moment));
    }

    pub fn token(&mut self, token: u64) {
        self.0.push(Fact::Token(token));
    }

    pub fn order(&mut self, order: u64) {
        self.0.push(Fact::Order(order));
    }

    pub fn client(&mut self, client: ClientId) {
        self.0.push(Fact::Client(client));
    }

    /// What is only told apart.
    pub fn hash(&mut self, what: &(impl Hash + ?Sized)) {
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        what.hash(&mut hasher);
        self.number(hasher.finish());
    }

    pub fn key(&mut self, db: u32, name: &[u8]) {
        self.hash(&(db, name));
    }

    pub fn list<T>(&mut self, list: impl IntoIterator<Item = T>, show: impl Fn(&mut Self, T)) {
        let at = self.0.len();
        self.number(0);
        let mut count = 0;
        for item in list {
            show(self, item);
            count += 1;
        }
        if let Some(place) = self.0.get_mut(at) {
            *place = Fact::Number(count);
        }
    }
}

impl Node {
    /// The last token given out or seen; 0 for none.
    pub fn last_token(&self) -> u64 {
        self.tokens.last().map_or(0, crate::token::Token::get)
    }

    /// The rebuild whose end a parked client waits for.
    pub fn awaits(&self, waiter: WaiterId) -> Option<Token> {
        let waiter = self.rooms.waiter(waiter)?;
        let order = waiter.ask.order;
        let (.., cohort) = *self.rooms.in_order(|_| true).iter().find(|of| of.0 == order)?;
        self.rooms.cohort(cohort)?.key.token
    }

    /// `pauses`: whether the server may hold writes back later, so that the last moment before counts.
    pub fn facts(&self, pauses: bool, facts: &mut Facts) {
        facts.token(self.last_token());
        self.leases.facts(facts);
        self.rooms.facts(facts);
        self.rooms.cohort_facts(facts);
        self.groups.facts(&self.leases, facts);
        self.tags.facts(facts);
        self.outbox_facts(facts);
        facts.list(self.visits.values(), |facts, (db, name)| facts.key(*db, name));
        facts.list(self.arrivals.keys(), |facts, ((db, name), is_settled)| {
            facts.key(*db, name);
            facts.flag(is_settled);
        });
        facts.list(&self.due_groups, |facts, group| facts.number(u64::from(group.0)));
        facts.list(self.husks.iter(), |facts, (until, db, name)| {
            facts.wall(*until);
            facts.key(*db, name);
        });
        facts.number(self.flushed_husks.len() as u64);
        facts.flags(&[self.is_loading, self.awaits_first]);
        facts.list(&self.places_by_end, |facts, (until, client)| {
            facts.steady(*until);
            facts.client(*client);
            if let Some(place) = self.places.get(client) {
                facts.key(place.db, &place.name);
                facts.order(place.order);
            }
        });
        facts.list(&self.gone, |facts, client| facts.client(*client));
        facts.list(self.messages.values(), |facts, message| {
            facts.hash(&*message.name);
            facts.number(message.state as u64);
        });
        facts.list(&self.stalled, |facts, room| {
            if let Some(room) = self.rooms.get(*room) {
                facts.key(room.db, &room.name);
            }
        });
        facts.flags(&[self.is_master(), self.pause.is_on, self.draining.is_some()]);
        if pauses || self.pause.resumes_at.is_some() {
            facts.wall(self.pause.held_from);
        }
        facts.steady(self.pause.resumes_at.unwrap_or(SteadyMs::NEVER));
        facts.number(self.sweep.map_or(0, |chunk| u64::from(chunk) + 1));
        facts.list(&self.orphans, |facts, ((db, name, token), end)| {
            facts.key(*db, name);
            facts.token(token.get());
            facts.number(*end as u64);
        });
        facts.list(&self.postponed, |facts, (at, db, name)| {
            facts.steady(*at);
            facts.key(*db, name);
        });
        facts.list(&self.tried, |facts, group| facts.number(u64::from(group.0)));
    }

    /// Whether a waiter's answer is on its way.
    pub fn is_answered(&self, waiter: WaiterId) -> bool {
        let is_of = |batch: &Batch| self.waiters_of(batch.source).iter().any(|(_, id, _)| *id == waiter.record());
        self.outbox.batches().any(is_of)
    }

    fn waiters_of(&self, source: Source) -> Vec<(u64, Id, Id)> {
        self.rooms.in_order(|of| match source {
            Source::Cohort(cohort) => of == cohort,
            Source::Room(room) => self.rooms.cohort(of).is_some_and(|cohort| cohort.key.room == room),
        })
    }

    fn outbox_facts(&self, facts: &mut Facts) {
        facts.list(self.outbox.batches(), |facts, batch| {
            facts.list(self.waiters_of(batch.source), |facts, (order, ..)| facts.order(order));
            for outcome in [&batch.lenient, &batch.strict] {
                match outcome {
                    // Its number counts from when it was pushed; its state and value are what is looked at.
                    Outcome::Answer(answer) => {
                        facts.number(answer.state() as u64);
                        facts.flag(answer.payload().is_some());
                    }
                    Outcome::Error(error) => facts.hash(error),
                }
            }
        });
    }
}
