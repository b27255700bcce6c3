//! For the model checker: what of the groups can make a difference later.

use super::{Circuit, Group, Groups};
use crate::node::facts::Facts;
use crate::node::leases::LeaseTable;
use crate::time::UnixMs;
use crate::token::Token;

impl Groups {
    pub fn facts(&self, leases: &LeaseTable, facts: &mut Facts) {
        for group in &self.list {
            group.facts(leases, facts);
        }
    }
}

impl Group {
    fn facts(&self, leases: &LeaseTable, facts: &mut Facts) {
        facts.hash(&self.name);
        facts.hash(&self.policy);
        facts.numbers(&[u64::from(self.reserved), u64::from(self.circuit.failures)]);
        facts.flag(self.is_configured);
        for (deadline, lease) in &self.permits {
            facts.wall(*deadline);
            facts.token(leases.get(*lease).map_or(0, |record| record.token.get()));
        }
        facts.list(&self.queue, |facts, (order, _)| facts.order(*order));
        facts.list(&self.listeners, |facts, (order, _)| facts.order(*order));
        facts.list(&self.holders, |facts, (client, count)| {
            facts.client(*client);
            facts.number(u64::from(*count));
        });
        let token = |token: Option<Token>| token.map_or(0, Token::get);
        match self.circuit.state {
            Circuit::Closed => facts.number(0),
            Circuit::Open { until, cool_ms } => {
                facts.numbers(&[1, cool_ms]);
                facts.wall(until);
            }
            Circuit::HalfOpen { trial, last, cool_ms } => {
                facts.numbers(&[2, cool_ms]);
                facts.token(token(trial.map(|trial| trial.token)));
                facts.wall(trial.map_or(UnixMs::EPOCH, |trial| trial.deadline));
                facts.token(token(last));
            }
        }
        if self.circuit.state != Circuit::Closed {
            facts.token(token(self.circuit.last_trial));
            facts.hash(&self.circuit.last_message);
        }
    }
}
