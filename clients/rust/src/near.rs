//! Encoded values kept in this process, bounded in number and time. What this process invalidates is dropped at once,
//! what others invalidate after `local_ttl` at the latest.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::node::locked;

struct Copy {
    data: Arc<[u8]>,
    until: Instant,
    used: u64,
}

#[derive(Default)]
struct Kept {
    copies: HashMap<Vec<u8>, Copy>,
    by_use: BTreeMap<u64, Vec<u8>>,
    uses: u64,
    /// Grows with each invalidation.
    moment: u64,
}

pub(crate) struct Near {
    most: usize,
    longest: Duration,
    kept: Mutex<Kept>,
}

impl Near {
    pub(crate) fn new(most: usize, longest: Duration) -> Self {
        Near { most, longest, kept: Mutex::default() }
    }

    pub(crate) fn moment(&self) -> u64 {
        locked(&self.kept).moment
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        let mut kept = locked(&self.kept);
        kept.uses += 1;
        let now = kept.uses;
        let copy = kept.copies.get_mut(key)?;
        let before = std::mem::replace(&mut copy.used, now);
        let data = (Instant::now() < copy.until).then(|| copy.data.clone());
        kept.by_use.remove(&before);
        if data.is_some() {
            kept.by_use.insert(now, key.to_vec());
        } else {
            kept.copies.remove(key);
        }
        data
    }

    /// `asked_at` is the moment when the request was sent: an invalidation since may be newer than the value. `sent` is
    /// the same on the clock: nobody knows how long the answer took, and `fresh` may be as old as that.
    pub(crate) fn put(&self, key: &[u8], data: Arc<[u8]>, fresh: Option<Duration>, asked_at: u64, sent: Instant) {
        let mut kept = locked(&self.kept);
        if kept.moment != asked_at {
            return;
        }
        let life = fresh.map_or(self.longest, |fresh| fresh.min(self.longest));
        let until = sent + life.min(Duration::from_secs(3_000_000_000)); // a century, or a clock would overflow
        kept.uses += 1;
        let used = kept.uses;
        if let Some(before) = kept.copies.insert(key.to_vec(), Copy { data, until, used }) {
            kept.by_use.remove(&before.used);
        }
        kept.by_use.insert(used, key.to_vec());
        if kept.copies.len() > self.most {
            if let Some((_, oldest)) = kept.by_use.pop_first() {
                kept.copies.remove(&oldest);
            }
        }
    }

    /// `None` is all of them: nobody here knows which carry a tag.
    pub(crate) fn forget(&self, keys: Option<&[Vec<u8>]>) {
        let mut kept = locked(&self.kept);
        kept.moment += 1;
        match keys {
            None => {
                kept.copies.clear();
                kept.by_use.clear();
            }
            Some(keys) => {
                for key in keys {
                    if let Some(copy) = kept.copies.remove(key) {
                        kept.by_use.remove(&copy.used);
                    }
                }
            }
        }
    }
}
