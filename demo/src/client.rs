//! One of the herd: a connection to Redis, and the right to ask the database when the cache has nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::{Cmd, Connection, FromRedisValue};

use crate::database;
use crate::ledger::Ledger;
use crate::measurements::Span;

pub(crate) struct Client {
    connection: Connection,
    database: PathBuf,
    /// How long a value lives that this client stores.
    pub(crate) ttl: Duration,
    ledger: Arc<Ledger>,
    commands: u64,
    queries: Vec<Span>,
}

impl Client {
    pub(crate) fn new(connection: Connection, database: PathBuf, ttl: Duration, ledger: Arc<Ledger>) -> Self {
        Self { connection, database, ttl, ledger, commands: 0, queries: Vec::new() }
    }

    /// Sends one command to Redis. All of a strategy's commands come through here, so that none goes uncounted.
    pub(crate) fn send<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T> {
        self.commands += 1;
        command.query(&mut self.connection).context("Redis refused a command")
    }

    /// Runs the report on the database: the expensive thing that the cache is there to spare.
    pub(crate) fn query(&mut self) -> Result<Vec<u8>> {
        let ledger = Arc::clone(&self.ledger);
        let _in_flight = ledger.query_begins();
        let begin = ledger.now();
        let report = database::run_report(&self.database);
        self.queries.push(Span { begin, end: ledger.now() });
        report
    }

    /// Sends a command that puts a report into the cache. Says whether it was taken: a nil reply means no.
    pub(crate) fn store(&mut self, command: &Cmd) -> Result<bool> {
        let sent = self.ledger.now();
        let taken = self.send::<Option<()>>(command)?.is_some();
        if taken {
            self.ledger.note_stored(sent);
        }
        Ok(taken)
    }

    /// The commands sent and the queries run.
    pub(crate) fn into_tally(self) -> (u64, Vec<Span>) {
        (self.commands, self.queries)
    }
}
