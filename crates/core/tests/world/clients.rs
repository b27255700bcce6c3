//! Parked clients: what they were told, and how they go.

use corral_core::answer::Answer;
use corral_core::node::event::Event;
use corral_core::node::outbox::Outcome;
use corral_core::node::rooms::WaiterId;

use super::{outcome_line, Client, Parked, World};

/// How late an answer may be after its BLOCK limit, in ms: a turn or two, and what held the turn up.
const LATE_MS: u64 = 50;

impl World {
    /// What a parked client was told since last asked; "waits" while it is parked.
    pub fn told(&mut self, client: Client) -> String {
        self.deliver();
        let lines = self.told.remove(&client).unwrap_or_default();
        match lines.as_slice() {
            [] if self.parked.values().any(|parked| parked.client == client) => "waits".to_string(),
            [] => "nothing".to_string(),
            [line] => line.clone(),
            lines => panic!("{client} was told more than once: {lines:?}"),
        }
    }

    pub fn waiter_of(&self, client: Client) -> Option<WaiterId> {
        self.parked.iter().find(|(_, parked)| parked.client == client).map(|(waiter, _)| *waiter)
    }

    /// A connection closes: the server tells of a parked client first, then of the connection. A grant that was on its
    /// way to it is lost.
    pub fn close(&mut self, client: Client) {
        while let Some(waiter) = self.waiter_of(client) {
            assert!(self.node.gone(waiter).is_some());
            self.parked.remove(&waiter);
            self.server.clients.remove(&waiter);
        }
        let (lost, kept) = std::mem::take(&mut self.in_flight).into_iter().partition(|of| of.client == client);
        self.in_flight = kept;
        let lost: Vec<super::Delivery> = lost;
        for delivery in lost {
            if let Some(grant) = delivery.grant {
                self.event(Event::GrantLost { db: grant.db, name: grant.name, token: grant.token });
            }
        }
        self.event(Event::ClientGone { client });
    }

    /// CLIENT UNBLOCK.
    pub fn unblock(&mut self, client: Client) -> String {
        let waiter = self.waiter_of(client).unwrap();
        let moment = self.moment();
        let (answer, ended) = self.node.give_up(waiter, moment);
        assert!(ended.is_some());
        self.parked.remove(&waiter);
        self.server.clients.remove(&waiter);
        outcome_line(&Outcome::Answer(answer))
    }

    /// Each is answered within its BLOCK limit, plus a turn; after it with WAIT, an error, or a lease already granted.
    pub(super) fn check_block(&self, parked: &Parked, outcome: &Outcome) {
        if parked.block_ms == 0 {
            return;
        }
        let waited_ms = (self.steady_us - parked.since_us) / 1000;
        assert!(waited_ms <= parked.block_ms + self.busy_ms + LATE_MS, "{parked:?} waited {waited_ms} ms: {outcome:?}");
        if waited_ms >= parked.block_ms {
            let may_be = matches!(outcome, Outcome::Error(_) | Outcome::Answer(Answer::Wait { .. }));
            assert!(may_be, "{parked:?} waited {waited_ms} ms and is told {outcome:?}");
        }
    }
}
