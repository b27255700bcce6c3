//! The stage: clients, the node's world, and time, which passes when a story says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use corral_core::error::Error;
use corral_core::node::outbox::Outcome;
use corral_testkit::story::Stage;
use corral_testkit::Reply;

use super::cache;
use super::commands::{self, Call};
use super::config::Config;
use super::connection::{Connection, Words};
use crate::world::{Client, World};

pub struct NodeStage {
    pub world: World,
    pub config: Config,
    pub connections: BTreeMap<Client, Connection>,
    pub pause: Option<Pause>,
    names: BTreeMap<String, Client>,
    last_client: Client,
    /// Commands that a pause holds back, in their order.
    held: VecDeque<(Client, Words)>,
}

/// CLIENT PAUSE.
#[derive(Clone, Copy)]
pub struct Pause {
    pub until_us: u64,
    /// Everything is held back, not writes alone.
    pub holds_all: bool,
}

/// From one command to the next: no two come in the same microsecond.
const COMMAND_US: u64 = 50;

/// How long a reply is waited for, by the stage's clock. A minute of LEASE is never waited for by a story.
const PATIENCE_US: u64 = 20_000_000;

impl NodeStage {
    pub fn new() -> Self {
        let mut world = World::new();
        world.server.random = None;
        Self {
            world,
            config: Config::default(),
            connections: BTreeMap::new(),
            pause: None,
            names: BTreeMap::new(),
            last_client: 0,
            held: VecDeque::new(),
        }
    }

    /// The client of this name; it connects if it was not heard of before.
    fn client(&mut self, name: &str) -> Client {
        if let Some(client) = self.names.get(name) {
            return *client;
        }
        self.last_client += 1;
        self.names.insert(name.to_owned(), self.last_client);
        self.connections.insert(self.last_client, Connection::default());
        self.last_client
    }

    pub fn connection(&mut self, client: Client) -> &mut Connection {
        self.connections.get_mut(&client).unwrap()
    }

    /// Runs a command, or queues it in its transaction.
    fn run(&mut self, client: Client, words: &Words) {
        let reply = match commands::checked(self, words) {
            Err(error) => {
                if let Some(transaction) = &mut self.connection(client).transaction {
                    transaction.is_broken = true;
                }
                Some(Reply::Error(error.sentence()))
            }
            Ok(command) => match &mut self.connection(client).transaction {
                Some(transaction) if !command.ends_a_transaction() => {
                    transaction.queued.push(words.clone());
                    Some(super::connection::word("QUEUED"))
                }
                _ => self.answer(command, client, words, false),
            },
        };
        if let Some(reply) = reply {
            self.connection(client).replies.push_back(reply);
        }
    }

    /// `None`: the client is parked.
    pub fn answer(
        &mut self,
        command: &commands::Command,
        client: Client,
        words: &Words,
        in_transaction: bool,
    ) -> Option<Reply> {
        let arguments: Vec<&[u8]> = words[1..].iter().map(Vec::as_slice).collect();
        let connection = self.connection(client);
        let (db, is_resp3, is_tracking) = (connection.db, connection.is_resp3, connection.is_tracking);
        let call = Call { client, db, is_resp3, in_transaction, arguments: &arguments };
        let answered = (command.run)(self, call);
        if is_tracking && command.is_read {
            // Every command of one key has it first, the others have nothing but keys.
            let read: BTreeSet<_> = arguments.iter().map(|name| (db, name.to_vec())).collect();
            self.connection(client).tracked.extend(read);
        }
        answered.unwrap_or_else(|error: Error| Some(Reply::Error(error.sentence())))
    }

    /// Does all that is due at this moment, and has everybody told.
    fn settle(&mut self) {
        self.world.settle_undelivered();
        self.deliver();
    }

    fn deliver(&mut self) {
        for delivery in std::mem::take(&mut self.world.in_flight) {
            let reply = match &delivery.outcome {
                Outcome::Answer(answer) => cache::triple(answer, None),
                Outcome::Error(error) => Reply::Error(error.sentence()),
            };
            self.connection(delivery.client).replies.push_back(reply);
        }
        self.tell_signals();
    }

    /// Lets time pass until something is due, at most until `end_us`.
    fn creep(&mut self, end_us: u64) {
        let pause_us = self.pause.map_or(u64::MAX, |pause| pause.until_us);
        self.world.creep(end_us.min(pause_us));
        self.deliver();
        if self.pause.is_some_and(|pause| pause.until_us <= self.world.steady_us) {
            self.end_pause();
        }
    }

    /// What is due by the timer comes before what was held back.
    pub fn end_pause(&mut self) {
        self.pause = None;
        self.world.is_paused = false;
        self.settle();
        for (client, words) in std::mem::take(&mut self.held) {
            self.run(client, &words);
            self.settle();
        }
    }

    fn is_held_back(&mut self, client: Client, words: &Words) -> bool {
        let Some(pause) = self.pause else { return false };
        let is_write = |words: &Words| commands::named(&words[0]).is_some_and(|command| command.is_held_by_a_pause);
        let is_exec = words[0].eq_ignore_ascii_case(b"EXEC");
        let queued = self.connection(client).transaction.as_ref().filter(|_| is_exec);
        pause.holds_all || is_write(words) || queued.is_some_and(|queued| queued.queued.iter().any(is_write))
    }
}

impl Stage for NodeStage {
    fn begin(&mut self) {
        *self = Self::new();
    }

    fn offers(&mut self, need: &str) -> bool {
        commands::offers(need)
    }

    fn send(&mut self, client: &str, words: &[Vec<u8>]) {
        let client = self.client(client);
        self.world.move_clocks(COMMAND_US);
        self.settle();
        let words = words.to_vec();
        match self.is_held_back(client, &words) {
            true => self.held.push_back((client, words)),
            false => self.run(client, &words),
        }
        self.settle();
    }

    fn reply(&mut self, client: &str) -> Option<Reply> {
        let client = self.client(client);
        let end_us = self.world.steady_us + PATIENCE_US;
        while self.connection(client).replies.is_empty() && self.world.steady_us < end_us {
            self.creep(end_us);
        }
        self.connection(client).replies.pop_front()
    }

    fn has_reply(&mut self, client: &str) -> bool {
        let client = self.client(client);
        !self.connection(client).replies.is_empty()
    }

    fn is_parked(&mut self, client: &str) -> bool {
        let client = self.client(client);
        let is_held = self.held.iter().any(|(held, _)| *held == client);
        self.connection(client).replies.is_empty() && (is_held || self.world.waiter_of(client).is_some())
    }

    fn hang_up(&mut self, client: &str) {
        let Some(client) = self.names.remove(client) else { return };
        self.held.retain(|(held, _)| *held != client);
        self.connections.remove(&client);
        self.world.close(client);
        self.settle();
    }

    fn advance_ms(&mut self, ms: u64) {
        let end_us = self.world.steady_us + ms * 1000;
        while self.world.steady_us < end_us {
            self.creep(end_us);
        }
    }

    fn now_ms(&self) -> u64 {
        self.world.wall_us / 1000
    }
}
