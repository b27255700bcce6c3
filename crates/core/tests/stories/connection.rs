//! One client of the stage.

use std::collections::{BTreeSet, VecDeque};

use corral_testkit::Reply;

use crate::world::Place;

/// A command and its arguments.
pub type Words = Vec<Vec<u8>>;

#[derive(Default)]
pub struct Connection {
    pub db: u32,
    pub is_resp3: bool,
    /// What it can read.
    pub replies: VecDeque<Reply>,
    pub transaction: Option<Transaction>,
    /// Keys that it watches, and whether one of them changed since.
    pub watched: BTreeSet<Place>,
    pub is_dirty: bool,
    /// Channels, and those of shards.
    pub channels: BTreeSet<Vec<u8>>,
    pub shard_channels: BTreeSet<Vec<u8>>,
    /// CLIENT TRACKING: the keys it has read since it was last told of them.
    pub is_tracking: bool,
    pub tracked: BTreeSet<Place>,
}

/// What follows MULTI.
#[derive(Default)]
pub struct Transaction {
    pub queued: Vec<Words>,
    /// A word was refused: nothing will be run.
    pub is_broken: bool,
}

impl Connection {
    pub fn unwatch(&mut self) {
        self.watched.clear();
        self.is_dirty = false;
    }
}

pub fn text(bytes: impl AsRef<[u8]>) -> Reply {
    Reply::Text(bytes.as_ref().to_vec())
}

pub fn word(word: &str) -> Reply {
    Reply::Word(word.to_owned())
}

pub fn ok() -> Reply {
    word("OK")
}

pub fn number(number: u64) -> Reply {
    Reply::Number(i64::try_from(number).unwrap())
}
