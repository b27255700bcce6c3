//! The executor: shows a key to the node, and carries out what the node says.

use corral_core::entry::Entry;
use corral_core::node::event::Event;
use corral_core::node::rooms::WaiterId;
use corral_core::node::turn::Due;
use corral_core::node::{Becomes, Effect, Environment, Held, Key, Node, Parking, Reply, Step, Word, Writes};
use corral_core::time::{SteadyMs, UnixMs};

use super::{name_of, outcome_line, Delivery, KeyEvent, Place, Server, Stored, Value, World};

/// Turns without the clock moving: more, and the node goes round in circles.
const TURNS_IN_ONE_MOMENT: usize = 20_000;

/// Keys looked at in one turn.
const VISITS_PER_TURN: usize = 50;

impl Environment for Server {
    fn random(&mut self) -> f64 {
        self.random.unwrap_or_else(|| {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.seed >> 11) as f64 / (1_u64 << 53) as f64
        })
    }

    fn writes(&mut self) -> Writes {
        self.writes.clone()
    }

    fn permits(&mut self, waiter: WaiterId) -> bool {
        self.clients.get(&waiter).is_none_or(|client| !self.forbidden.contains(client))
    }

    fn parking(&mut self, _waiters: u64, _percent: u64) -> Parking {
        self.parking
    }
}

impl World {
    /// Runs one call on one key, and carries out what it says.
    pub fn step(&mut self, place: &Place, decide: impl FnOnce(&mut Node, &mut Key) -> Step) -> Reply {
        self.expire(place);
        let moment = self.moment();
        let before = self.keys.remove(place);
        let expires = before.as_ref().map_or(UnixMs::NEVER, |stored| stored.expires);
        let (held, mut entry) = match before.as_ref().map(|stored| &stored.value) {
            None => (Held::Nothing, Entry::vacant()),
            Some(Value::Entry(entry)) => (Held::Entry, entry.clone()),
            Some(Value::Text(text)) => {
                let is_awaited = self.node.is_awaited(place.0, &place.1);
                (Held::String { value: is_awaited.then(|| text.as_slice().into()) }, Entry::vacant())
            }
            Some(Value::List(_)) => (Held::Foreign, Entry::vacant()),
        };
        let mut key = Key {
            db: place.0,
            name: &place.1,
            held,
            entry: &mut entry,
            expires,
            moment,
            is_paused: self.is_paused,
            environment: &mut self.server,
        };
        let step = decide(&mut self.node, &mut key);
        self.most_effects = self.most_effects.max(step.effects.len());
        match step.becomes {
            Becomes::Same => {
                if let Some(Stored { value: Value::Entry(was), .. }) = &before {
                    assert_eq!(&entry, was, "{place:?} changed without a word");
                }
                if let Some(before) = before {
                    self.keys.insert(place.clone(), before);
                }
            }
            Becomes::Removed => {
                assert!(before.is_some() && !self.is_paused, "{place:?} was not there, or nothing may be written");
                self.replicate_removal(place);
            }
            Becomes::Stored { value, expire_at } => {
                assert!(!self.is_paused && self.node.is_master(), "nothing may be written");
                self.replicate(place, &entry, value, expire_at);
                self.keys.insert(place.clone(), Stored { value: Value::Entry(entry), expires: expire_at });
            }
        }
        if step.signals {
            self.signalled.insert(place.clone());
        }
        self.carry_out(Some(place), step.effects);
        step.reply
    }

    fn carry_out(&mut self, place: Option<&Place>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Notify(word) => {
                    let place = place.expect("a step on a key tells of that key").clone();
                    self.events.push(KeyEvent { word, place });
                }
                Effect::Expired { db, name, .. } => {
                    let place = (db, name.to_vec());
                    self.signalled.insert(place.clone());
                    self.events.push(KeyEvent { word: Word::Expire, place });
                }
                Effect::Release { waiter, outcome, client, grant, .. } => self.release(waiter, client, outcome, grant),
                Effect::Built { .. } | Effect::NotParked { .. } => {}
                Effect::Publish(message) => self.published.push(message),
            }
        }
    }

    /// A parked client's answer is on its way: there is one for each.
    fn release(
        &mut self,
        waiter: WaiterId,
        client: super::Client,
        outcome: corral_core::node::outbox::Outcome,
        grant: Option<corral_core::node::Grant>,
    ) {
        let parked = self.parked.remove(&waiter);
        let parked = parked.unwrap_or_else(|| panic!("{waiter:?} of {client} is answered twice: {outcome:?}"));
        self.server.clients.remove(&waiter);
        assert_eq!(parked.client, client);
        assert!(!self.node.is_parked(waiter));
        self.check_block(&parked, &outcome);
        self.in_flight.push(Delivery { client, place: parked.place, outcome, grant });
    }

    /// What was released is written to its clients.
    pub fn deliver(&mut self) {
        for delivery in std::mem::take(&mut self.in_flight) {
            if let Some(grant) = &delivery.grant {
                self.tokens.insert((delivery.client, delivery.place.clone()), grant.token);
            }
            self.told.entry(delivery.client).or_default().push(outcome_line(&delivery.outcome));
        }
    }

    /// One turn of the event loop, as the timer has it. Whether anything was done.
    pub fn turn(&mut self) -> bool {
        self.turns += 1;
        let moment = self.moment();
        let step = self.node.turn(moment, self.is_paused);
        self.most_effects = self.most_effects.max(step.effects.len());
        let mut has_done = !step.effects.is_empty();
        self.carry_out(None, step.effects);
        if !self.is_paused {
            self.replicate_floor();
            for _ in 0..VISITS_PER_TURN {
                let Some((db, name)) = self.node.next_visit(moment) else { break };
                let place = (db, name.to_vec());
                has_done = true;
                match self.node.is_master() {
                    true => self.step(&place, Node::visit),
                    false => self.step(&place, |node, key| node.observe(key)),
                };
            }
        }
        self.node.begin_release(moment, None, true);
        while let Some((released, _)) = self.node.next_release(moment) {
            has_done = true;
            let client = self.server.clients.get(&released.waiter).copied();
            let outcome = match client.is_some_and(|client| self.server.forbidden.contains(&client)) {
                true => corral_core::node::outbox::Outcome::Error(corral_core::error::Error::NoPermission),
                false => released.outcome,
            };
            self.release(released.waiter, released.client, outcome, None);
        }
        self.node.end_release(moment);
        has_done
    }

    /// Does all that is due at this moment, and delivers the answers.
    pub fn settle(&mut self) {
        self.settle_undelivered();
        self.deliver();
    }

    /// Does all that is due at this moment; answers are on their way.
    pub fn settle_undelivered(&mut self) {
        for _ in 0..TURNS_IN_ONE_MOMENT {
            if !self.is_due_by(self.wall_us, self.steady_us) {
                return;
            }
            let was_ms = self.steady_us / 1000;
            let has_done = self.turn();
            if self.node.has_answers() || (!has_done && self.node.next_due() == Some(Due::Now)) {
                // Answers and handovers are paced by the millisecond.
                self.move_clocks((was_ms + 1) * 1000 - self.steady_us);
            }
        }
        panic!("the node is due for ever: {:?} at {:?}", self.node.next_due(), self.moment());
    }

    pub fn move_clocks(&mut self, us: u64) {
        self.wall_us += us;
        self.steady_us += us;
    }

    fn is_due_by(&self, wall_us: u64, steady_us: u64) -> bool {
        match self.node.next_due() {
            None => false,
            Some(Due::Now) => true,
            Some(Due::At { wall, steady }) => {
                wall.is_some_and(|at| at <= UnixMs::from_micros(wall_us))
                    || steady.is_some_and(|at| at <= SteadyMs(steady_us / 1000))
            }
        }
    }

    /// Lets time pass, doing each thing when it is due.
    pub fn pass(&mut self, ms: u64) {
        self.settle();
        let end_us = self.steady_us + ms * 1000;
        loop {
            let left_us = end_us.saturating_sub(self.steady_us);
            let next_us = self.next_in_us().unwrap_or(u64::MAX);
            if next_us > left_us || left_us == 0 {
                self.move_clocks(left_us);
                return self.settle();
            }
            self.move_clocks(next_us.max(1));
            self.settle();
        }
    }

    /// Lets time pass until the node is due next, at most until `end_us`. Whether there is time left.
    pub fn creep(&mut self, end_us: u64) -> bool {
        self.settle_undelivered();
        let left_us = end_us.saturating_sub(self.steady_us);
        let next_us = self.next_in_us().unwrap_or(u64::MAX).max(1);
        self.move_clocks(next_us.min(left_us));
        self.settle_undelivered();
        left_us > 0
    }

    /// How long until the node is due.
    fn next_in_us(&self) -> Option<u64> {
        match self.node.next_due()? {
            Due::Now => Some(0),
            Due::At { wall, steady } => {
                let wall = wall.and_then(UnixMs::get).map(|ms| (ms * 1000).saturating_sub(self.wall_us));
                let steady = steady.map(|at| (at.0 * 1000).saturating_sub(self.steady_us));
                wall.into_iter().chain(steady).min()
            }
        }
    }

    /// The server removes a key whose own deadline has passed before anybody sees it.
    pub fn expire(&mut self, place: &Place) {
        let is_over = self.keys.get(place).is_some_and(|stored| stored.expires <= self.now());
        if is_over && self.node.is_master() && !self.is_paused {
            self.unlink(place);
            self.signalled.insert(place.clone());
            self.replicate_server_removal(place);
        }
    }

    /// A key's value leaves the keyspace: the module's own is told.
    pub fn unlink(&mut self, place: &Place) -> Option<Stored> {
        let stored = self.keys.remove(place)?;
        if let Value::Entry(entry) = &stored.value {
            let token = entry.lease().map(|lease| lease.token);
            self.event(Event::Unlinked { db: place.0, name: name_of(place), token });
        }
        Some(stored)
    }
}
