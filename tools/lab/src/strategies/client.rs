//! One client: its connections, and the slow source.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::redisson::Process;
use crate::ledger::Ledger;
use crate::source::Source;
use crate::wire::{command, Connection, Reply};

pub(crate) struct Client {
    pub(super) connection: Connection,
    /// Where it hears of events, if its strategy listens to any.
    pub(super) events: Option<Connection>,
    /// Of which it is a thread, if its strategy knows processes.
    pub(super) process: Option<Rc<Process>>,
    /// Commands that it gave its process to send.
    pub(super) orders: u64,
    pub(super) scripts: Rc<[String]>,
    pub(crate) ledger: Rc<RefCell<Ledger>>,
    pub(super) source: Source,
    pub(super) ttl: Duration,
    /// How long a lock or lease lasts and how long a waiter waits for one: much longer than a build, so that no run is
    /// spoilt by a lock that ran out.
    pub(super) patience: Duration,
    pub(super) name: String,
}

impl Client {
    pub(super) async fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Reply> {
        self.connection.call(&command(words)).await
    }

    pub(super) async fn script(&mut self, number: usize, keys_and_words: &[&[u8]]) -> Result<Reply> {
        let script = self.scripts.get(number).context("no such script")?.clone();
        let mut words = vec![b"EVALSHA".as_slice(), script.as_bytes()];
        words.extend(keys_and_words);
        self.call(&words).await
    }

    /// Says on the second connection, and waits for the answer.
    pub(super) async fn listen(&mut self, words: &[&str]) -> Result<Reply> {
        self.events.as_mut().context("no connection for events")?.call(&command(words)).await
    }

    pub(super) async fn event(&mut self) -> Result<Reply> {
        self.events.as_mut().context("no connection for events")?.receive().await
    }

    /// The expensive thing that the cache is there to spare.
    pub(super) async fn build(&mut self, key: &str) -> Result<Vec<u8>> {
        let build = self.ledger.borrow_mut().begin(key);
        let value = self.source.build().await;
        self.ledger.borrow_mut().end(key, &build);
        value
    }

    /// Sends a command that puts a value into the cache. A nil reply means that it was not taken. What counts is when it
    /// was sent: a client may come to read the reply late on a busy machine, and the entry would seem to live longer.
    pub(super) async fn store<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<()> {
        let sent = self.ledger.borrow().now();
        if !self.call(words).await?.is_nil() {
            self.ledger.borrow_mut().stores.push(sent);
        }
        Ok(())
    }

    pub(super) fn ttl_ms(&self) -> String {
        self.ttl.as_millis().to_string()
    }

    pub(super) fn patience_ms(&self) -> String {
        self.patience.as_millis().to_string()
    }

    pub(crate) fn commands(&self) -> u64 {
        self.connection.commands + self.orders + self.events.as_ref().map_or(0, |events| events.commands)
    }
}
