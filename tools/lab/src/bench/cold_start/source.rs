//! What the keys are built from: pages in a PostgreSQL that does less the more it is asked to do, and the connections that
//! all callers share, as the threads of a web server do.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::Semaphore;

use crate::interrupt;
use crate::postgres::{Postgres, Session};

pub(super) struct Source(Postgres);

pub(super) struct Pool {
    free: RefCell<Vec<Session>>,
    /// First come, first served.
    permits: Semaphore,
}

pub(super) struct Page {
    pub(super) body: String,
    /// How many queries ran when this one began, itself among them.
    pub(super) running: f64,
}

impl Source {
    pub(super) async fn laid_out(keys: usize) -> Result<Self> {
        let server = Postgres::start(CONNECTIONS).await?;
        let mut session = server.connect().await?;
        session.query(&layout(keys)).await.context("the database cannot be laid out")?;
        Ok(Self(server))
    }

    pub(super) async fn pool(&self) -> Result<Pool> {
        let mut free = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            interrupt::check()?;
            free.push(self.0.connect().await?);
        }
        Ok(Pool { free: RefCell::new(free), permits: Semaphore::new(CONNECTIONS) })
    }
}

impl Pool {
    /// `None` if there was no connection for so long.
    pub(super) async fn page(&self, key: usize, patience: Duration) -> Result<Option<Page>> {
        let Ok(permit) = tokio::time::timeout(patience, self.permits.acquire()).await else { return Ok(None) };
        let _permit = permit?;
        let session = self.free.borrow_mut().pop();
        let mut session = session.context("a permit without a connection")?;
        let rows = session.query(&format!("SELECT running, body FROM built({key})")).await?;
        self.free.borrow_mut().push(session);
        let mut columns = rows.into_iter().next().context("there is no such page")?.into_iter();
        let mut column = || columns.next().flatten().context("a page lacks a column");
        Ok(Some(Page { running: column()?.parse()?, body: column()? }))
    }
}

/// The query waits rather than works, so that it is the same on every machine: what a disk or a processor that is shared
/// by too many does to it, is a formula.
fn layout(keys: usize) -> String {
    format!(
        "CREATE TABLE page (id int PRIMARY KEY, body text NOT NULL);
         INSERT INTO page SELECT id, repeat(md5(id::text), 4) FROM generate_series(0, {}) AS id;
         ANALYZE page;
         CREATE FUNCTION built(wanted int, OUT running float8, OUT body text) LANGUAGE plpgsql AS $$
         BEGIN
             SELECT count(*) INTO running FROM pg_stat_get_activity(NULL) WHERE state = 'active';
             PERFORM pg_sleep({QUERY_MS} / 1000.0 * greatest(1, (running / {KNEE}) ^ 1.5));
             SELECT page.body INTO body FROM page WHERE id = wanted;
         END $$",
        keys.saturating_sub(1)
    )
}

/// As many queries as the database runs well at once.
pub(super) const KNEE: usize = 20;
/// What one of them takes then.
pub(super) const QUERY_MS: u64 = 40;
/// More than it runs well, as it is where every process has its own pool.
pub(super) const CONNECTIONS: usize = 200;
