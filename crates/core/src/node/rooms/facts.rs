//! For the model checker: what of the rooms can make a difference later.

use super::{Room, Rooms};
use crate::node::facts::Facts;
use crate::node::slab::Id;
use crate::token::Token;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

impl Rooms {
    pub fn facts(&self, facts: &mut Facts) {
        let mut chunk = 0;
        loop {
            let (rooms, more) = self.rooms.chunk(chunk);
            let mut rooms: Vec<&Room> = rooms.map(|(_, room)| room).collect();
            rooms.sort_by_key(|room| (room.is_leaving, room.db, room.name.clone()));
            for room in rooms {
                facts.key(room.db, &room.name);
                facts.flags(&[room.is_leaving, room.is_due]);
                facts.number(u64::from(room.waiters));
                facts.number(room.sieves.len() as u64);
                facts.token(room.current.map_or(0, Token::get));
                if let Some(listening) = room.listening {
                    facts.numbers(&[u64::from(listening.askers), u64::from(listening.group.0)]);
                    facts.order(listening.order);
                    facts.flag(listening.is_queued);
                }
                if let Some((group, until)) = room.reservation {
                    facts.number(u64::from(group.0));
                    facts.steady(until);
                }
            }
            if !more {
                break;
            }
            chunk += 1;
        }
        for order in self.in_order(|_| true) {
            facts.order(order.0);
            self.waiter_facts(order.1, facts);
        }
    }

    /// Those in the cohorts that `of` picks, by order.
    pub fn in_order(&self, of: impl Fn(Id) -> bool) -> Vec<(u64, Id, Id)> {
        let mut found = Vec::new();
        let mut chunk = 0;
        loop {
            let (cohorts, more) = self.cohorts.chunk(chunk);
            for (cohort, open) in cohorts.filter(|(cohort, _)| of(*cohort)) {
                let mut open = alloc::vec![open.root];
                while let Some(id) = open.pop() {
                    if let Some(waiter) = self.waiters.0.get(id) {
                        found.push((waiter.ask.order, id, cohort));
                        open.extend(waiter.link.children());
                    }
                }
            }
            if !more {
                break;
            }
            chunk += 1;
        }
        found.sort_unstable();
        let cohort_of = |cohort: Id| self.cohorts.get(cohort).map(|open| open.key);
        debug_assert!(found.iter().all(|(_, _, cohort)| cohort_of(*cohort).is_some()));
        found
    }

    fn waiter_facts(&self, id: Id, facts: &mut Facts) {
        let Some(waiter) = self.waiters.0.get(id) else { return };
        if let Some(room) = self.rooms.get(waiter.room) {
            facts.key(room.db, &room.name);
            facts.flag(room.is_leaving);
        }
        let ask = &waiter.ask;
        facts.flags(&[ask.class.no_stale, ask.class.force, ask.is_tied]);
        facts.numbers(&[u64::from(ask.group.0), u64::from(ask.lease_ms)]);
        facts.number(ask.once_ms.map_or(0, |ms| ms + 1));
        facts.number(ask.known_version.map_or(0, |version| version + 1));
        facts.token(ask.last_mark);
        facts.steady(waiter.gives_up);
        facts.client(waiter.client);
    }

    /// What each cohort waits for, and who is in it.
    pub fn cohort_facts(&self, facts: &mut Facts) {
        let mut orders: BTreeMap<Id, Vec<u64>> = BTreeMap::new();
        for (order, _, cohort) in self.in_order(|_| true) {
            orders.entry(cohort).or_default().push(order);
        }
        let mut cohorts: Vec<(Vec<u64>, Id)> = orders.into_iter().map(|(cohort, orders)| (orders, cohort)).collect();
        cohorts.sort_unstable();
        for (orders, cohort) in cohorts {
            let Some(open) = self.cohorts.get(cohort) else { continue };
            facts.list(&orders, |facts, order| facts.order(*order));
            facts.token(open.key.token.map_or(0, Token::get));
            facts.order(open.queued_at.unwrap_or(0));
            facts.flag(self.by_key.get(&open.key) == Some(&cohort));
        }
    }
}
