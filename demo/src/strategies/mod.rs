//! The three ways to keep a report in Redis, each as its users write it.

mod corral;
mod plain;
mod set_nx;

use std::time::Duration;

use anyhow::Result;

use crate::client::Client;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    Plain,
    SetNx,
    Corral,
}

/// What a request came to.
pub(crate) struct Answer {
    pub(crate) report: Vec<u8>,
    /// This client is to rebuild the report now that it has answered its own request: the lease's token.
    pub(crate) refresh: Option<u64>,
}

impl Strategy {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::SetNx, Self::Corral];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "Plain cache-aside",
            Self::SetNx => "SET NX lock",
            Self::Corral => "Corral",
        }
    }

    /// What a client does, in one line.
    pub(crate) fn steps(self) -> &'static str {
        match self {
            Self::Plain => "GET; on a miss run the query and SET",
            Self::SetNx => "GET; on a miss SET NX a lock: its owner runs the query, the others poll",
            Self::Corral => "CACHE.GETORLOCK; one gets a lease and runs the query, its FILL wakes the others",
        }
    }

    /// Puts the first report into the cache, before the herd comes.
    pub(crate) fn warm(self, client: &mut Client, report: &[u8]) -> Result<()> {
        match self {
            Self::Plain | Self::SetNx => plain::store(client, report),
            Self::Corral => corral::warm(client, report),
        }
    }

    /// One request: asks until the report is in hand.
    pub(crate) fn ask(self, client: &mut Client) -> Result<Answer> {
        match self {
            Self::Plain => plain::ask(client),
            Self::SetNx => set_nx::ask(client),
            Self::Corral => corral::ask(client),
        }
    }

    /// Rebuilds the report after the request was answered with an old one.
    pub(crate) fn refresh(self, client: &mut Client, token: u64) -> Result<()> {
        match self {
            Self::Corral => corral::rebuild(client, token).map(drop),
            // They know no such answer.
            Self::Plain | Self::SetNx => Ok(()),
        }
    }
}

impl From<Vec<u8>> for Answer {
    fn from(report: Vec<u8>) -> Self {
        Self { report, refresh: None }
    }
}

pub(crate) const KEY: &str = "report:sales";

/// How long locks and leases last and how long a waiter waits for one: much longer than a rebuild,
/// so that no run is spoilt by a lock that ran out.
const PATIENCE: Duration = Duration::from_secs(60);

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}
