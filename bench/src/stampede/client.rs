//! One client: its connections, and the slow source.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result};

use super::ledger::Ledger;
use crate::wire::{command, Connection, Reply};

pub(super) struct Client {
    pub(super) connection: Connection,
    /// Where it hears of events, if its strategy listens to any.
    pub(super) events: Option<Connection>,
    pub(super) scripts: Rc<[String]>,
    pub(super) ledger: Rc<RefCell<Ledger>>,
    pub(super) name: String,
}

impl Client {
    pub(super) async fn call(&mut self, words: &[&str]) -> Result<Reply> {
        self.connection.call(&command(words)).await
    }

    pub(super) async fn script(&mut self, number: usize, keys_and_words: &[&str]) -> Result<Reply> {
        let script = self.scripts.get(number).context("no such script")?.clone();
        let mut words = vec!["EVALSHA", &script];
        words.extend(keys_and_words);
        self.connection.call(&command(&words)).await
    }

    /// Says on the second connection, and waits for the answer.
    pub(super) async fn listen(&mut self, words: &[&str]) -> Result<Reply> {
        self.events.as_mut().context("no connection for events")?.call(&command(words)).await
    }

    pub(super) async fn event(&mut self) -> Result<Reply> {
        self.events.as_mut().context("no connection for events")?.receive().await
    }

    /// The expensive thing that the cache is there to spare.
    pub(super) async fn build(&mut self, key: &str) {
        let build = self.ledger.borrow_mut().begin(key);
        let takes = self.ledger.borrow().build;
        tokio::time::sleep(takes).await;
        self.ledger.borrow_mut().end(key, build, Instant::now());
    }

    pub(super) fn commands(&self) -> u64 {
        self.connection.commands + self.events.as_ref().map_or(0, |events| events.commands)
    }
}
