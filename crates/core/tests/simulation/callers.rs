//! Who asks, what it is told, and how it goes.

use corral_core::node::{Parking, Writes};
use corral_core::token::Token;

use super::book::Granted;
use super::{Run, GROUPS};
use crate::world::{Place, Value};

impl Run {
    pub(super) fn ask(&mut self) {
        let client = self.client();
        if self.w.waiter_of(client).is_some() || self.w.in_flight.iter().any(|of| of.client == client) {
            return;
        }
        let place = self.place();
        let group = self.chance.pick(&GROUPS);
        let mut options = format!("GROUP {group} LEASE {}", self.chance.between(1, 900));
        for (option, times) in [("NOSTALE", 3), ("FORCE", 6), ("TIED", 3), ("EARLY 1", 6)] {
            if self.chance.one_in(times) {
                options = format!("{options} {option}");
            }
        }
        if self.chance.one_in(8) && place.0 == 0 {
            options += " NOTIFY";
        }
        let once_ms = self.chance.one_in(12).then(|| self.chance.pick(&[0, 100, 700]));
        if let Some(ms) = once_ms {
            options = format!("{options} ONCE {ms}");
        }
        if !self.chance.one_in(4) {
            options = format!("{options} BLOCK {}", self.chance.pick(&[0, 0, 1, 50, 400]));
        }
        let circuit = self.circuit(group);
        self.book.asked.insert(client, self.book.now);
        let before = self.w.tokens.get(&(client, place.clone())).copied();
        let reply = self.w.ask_at(client, &place, &options);
        self.book.show(|| format!("{client} asks {place:?} {options}: {reply}"));
        if reply == "parked" {
            assert_eq!(self.w.server.parking, Parking::Possible, "{client} is parked");
            let here = u64::from(self.w.node.audience(place.0, &place.1).waiters);
            assert!(here <= self.w.node.settings.max_waiters_per_key, "{here} are parked for {place:?}");
        }
        let token = self.w.tokens.get(&(client, place.clone())).copied().filter(|token| Some(*token) != before);
        if let Some(token) = token {
            assert_ne!(circuit, "open", "{client} is granted {token:?} by an open circuit");
            if circuit == "half-open" {
                let trial = self.book.trials.insert(group, token).and_then(|token| self.book.grants.get(&token));
                let is_out =
                    trial.is_some_and(|of| of.is_building && !of.may_be_over && of.deadline_ms > self.now_ms());
                assert!(!is_out, "a second trial: {token:?} beside {trial:?}");
            }
            self.granted(client, &place, token);
        }
        self.told(client, &place, &reply);
    }

    pub(super) fn unblock(&mut self) {
        let clients: Vec<u64> = self.w.parked.values().map(|parked| parked.client).collect();
        if !clients.is_empty() {
            let client = self.chance.pick(&clients);
            let line = self.w.unblock(client);
            self.book.show(|| format!("{client} is unblocked: {line}"));
        }
    }

    pub(super) fn close(&mut self) {
        let client = self.client();
        self.close_client(client);
    }

    fn close_client(&mut self, client: u64) {
        self.book.show(|| format!("{client} closes"));
        let lost: Vec<_> = self.w.in_flight.iter().filter(|of| of.client == client).cloned().collect();
        self.w.close(client);
        *self.closed.entry(client % 1000).or_default() += 1;
        for delivery in lost {
            if let Some(grant) = delivery.grant {
                self.book.spoken(grant.token, false);
                if self.book.once.get(&delivery.place).is_some_and(|once| once.token == grant.token) {
                    self.book.once.remove(&delivery.place);
                }
            }
        }
        let now_ms = self.now_ms();
        self.book.holder_gone(client, now_ms);
    }

    /// Books what parked clients are told.
    pub(super) fn collect(&mut self) {
        let deliveries = self.w.in_flight.clone();
        for delivery in &deliveries {
            if let Some(grant) = &delivery.grant {
                assert!(
                    !self.w.server.forbidden.contains(&delivery.client),
                    "{delivery:?} goes to who may not have it"
                );
                self.granted(delivery.client, &delivery.place, grant.token);
            }
        }
        let lost = !deliveries.is_empty() && self.chance.one_in(10);
        if lost {
            // Gone between its wake and the write.
            let clients: Vec<u64> = deliveries.iter().map(|of| of.client).collect();
            let client = self.chance.pick(&clients);
            self.close_client(client);
        }
        for delivery in std::mem::take(&mut self.w.in_flight) {
            let line = crate::world::outcome_line(&delivery.outcome);
            self.book.show(|| format!("  {} is told {:?}: {line}", delivery.client, delivery.place));
            if let Some(grant) = &delivery.grant {
                self.w.tokens.insert((delivery.client, delivery.place.clone()), grant.token);
            }
            self.told(delivery.client, &delivery.place, &line);
        }
    }

    /// Books a grant as the entry has it.
    fn granted(&mut self, client: u64, place: &Place, token: Token) {
        let writes = &self.w.server.writes;
        assert!(!matches!(writes, Writes::Refused(_)), "{client} is granted {token:?} while writes are refused");
        let Some(Value::Entry(entry)) = self.w.keys.get(place).map(|stored| &stored.value) else { return };
        let Some(lease) = entry.lease().filter(|lease| lease.token == token) else {
            // Ended in the same turn, by what was due.
            return;
        };
        let named = lease
            .group()
            .map_or("default", |name| GROUPS.into_iter().find(|group| group.as_bytes() == &**name).unwrap());
        let granted = Granted {
            client,
            place: place.clone(),
            group: named,
            is_tied: lease.is_tied,
            at: self.book.now,
            deadline_ms: lease.deadline.get().unwrap(),
            may_be_over: false,
            is_building: true,
        };
        let once_ms = lease.once_ms();
        let (max, now_ms) = (self.max(named), self.now_ms());
        self.book.grant(token, granted, once_ms, max, now_ms);
    }

    fn told(&mut self, client: u64, place: &Place, line: &str) {
        if let Some(value) = line.strip_prefix("HIT ").and_then(|rest| rest.split(' ').next()) {
            let asked = self.book.asked[&client];
            let now_ms = self.now_ms();
            self.book.fresh(place, value, asked, now_ms);
        }
    }

    fn circuit(&self, group: &str) -> &'static str {
        let groups = self.w.node.groups(self.w.now());
        groups.iter().find(|of| of.name == group).map_or("closed", |of| of.circuit)
    }
}
