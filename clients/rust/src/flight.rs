//! The callers of one key in this process: one asks, the others wait for what it gets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::BuildFailed;
use crate::node::locked;

/// Two kinds of call do not share an answer: who forces is not content with what is there.
type Id = (Vec<u8>, bool);
/// Inside: whether it has landed, and with what. Without an outcome its callers ask anew.
type Landing = Option<Option<Outcome>>;

#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Value(Arc<[u8]>),
    Failed {
        message: Arc<str>,
        again_at: Instant,
    },
    /// Each caller builds for itself.
    Private,
}

impl Outcome {
    pub(crate) fn failed(message: &str, retry_after: Duration) -> Self {
        Outcome::Failed { message: message.into(), again_at: Instant::now() + retry_after }
    }
}

pub(crate) fn build_failed(key: &[u8], message: &str, again_at: Instant) -> BuildFailed {
    BuildFailed {
        key: String::from_utf8_lossy(key).into_owned(),
        message: message.to_owned(),
        retry_after: again_at.saturating_duration_since(Instant::now()),
    }
}

#[derive(Clone, Default)]
pub(crate) struct Flights(Arc<Mutex<Board>>);

#[derive(Default)]
struct Board {
    aloft: HashMap<Id, Aloft>,
    /// The number of the flight that began last.
    last: u64,
}

struct Aloft {
    number: u64,
    landing: watch::Receiver<Landing>,
}

pub(crate) enum Boarded {
    Leads(Flight),
    Joins(watch::Receiver<Landing>),
}

impl Flights {
    pub(crate) fn board(&self, key: &[u8], force: bool) -> Boarded {
        let id = (key.to_vec(), force);
        let mut board = locked(&self.0);
        if let Some(aloft) = board.aloft.get(&id) {
            return Boarded::Joins(aloft.landing.clone());
        }
        board.last += 1;
        let number = board.last;
        let (tell, landing) = watch::channel(None);
        board.aloft.insert(id.clone(), Aloft { number, landing });
        Boarded::Leads(Flight { id, number, flights: self.clone(), tell, outcome: None })
    }

    /// Who asks after an invalidation must not join a build that began before it.
    pub(crate) fn forget(&self, keys: Option<&[Vec<u8>]>) {
        locked(&self.0).aloft.retain(|(key, _), _| keys.is_some_and(|keys| !keys.contains(key)));
    }
}

/// One that asks. It lands when it is dropped, however that comes.
pub(crate) struct Flight {
    id: Id,
    number: u64,
    flights: Flights,
    tell: watch::Sender<Landing>,
    pub outcome: Option<Outcome>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut board = locked(&self.flights.0);
        if board.aloft.get(&self.id).is_some_and(|aloft| aloft.number == self.number) {
            board.aloft.remove(&self.id);
        }
        drop(board);
        self.tell.send_replace(Some(self.outcome.take()));
    }
}
