//! What an input leads to.

use alloc::vec::Vec;

use super::leases::ClientId;
use super::name::Name;
use super::outbox::Outcome;
use super::rooms::WaiterId;
use super::{Held, Key, Node};
use crate::answer::{Answer, State};
use crate::codec::ValuePart;
use crate::error::Error;
use crate::time::UnixMs;
use crate::token::Token;

/// What an input led to.
#[derive(PartialEq, Debug)]
pub struct Step {
    pub reply: Reply,
    pub becomes: Becomes,
    /// Whether WATCH and client-side caching are to be told.
    pub signals: bool,
    /// What else follows, in this order.
    pub effects: Vec<Effect>,
    pub(super) change: Change,
}

/// Effects of one step besides those of the call itself: some microseconds each, so well under 2 ms.
const EFFECTS_AT_ONCE: usize = 150;

/// What the caller is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    Nothing,
    Answer(Answer),
    /// It is parked under this number; if the server declines, the answer.
    Park {
        waiter: WaiterId,
        otherwise: Answer,
    },
    Ok,
    Nil,
    Number(u64),
    Error(Error),
}

/// What becomes of the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Becomes {
    /// As it was.
    Same,
    /// It goes.
    Removed,
    /// The entry is stored (over whatever was there) and replicated.
    Stored { value: ValuePart, expire_at: UnixMs },
}

/// What became of the entry. Each level includes those above it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Change {
    /// Nothing to store or replicate.
    Nothing,
    /// The lease. Readers see no difference; the key's deadline in the server is at most moved back.
    Lease,
    /// Times or marks: readers see a difference. The value is the old one, and lives no longer than it would have.
    Times,
    /// The old value has new times.
    Renewed,
    /// The value too.
    Value,
}

/// Something to be done besides storing the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// A keyspace event of the key at hand.
    Notify(Word),
    /// A lease ended by its deadline: its key changes nothing, and readers and subscribers are to know.
    Expired { db: u32, name: Name, token: Token, holder: ClientId },
    /// Answer one parked client, at once.
    Release { waiter: WaiterId, outcome: Outcome, client: ClientId, since_us: u64, grant: Option<Grant> },
    /// A rebuild ended with a value after so long.
    Built { us: u64 },
    /// A caller was not parked; `reason` for the log.
    NotParked { reason: &'static str },
    /// Publish to the channel named like the key.
    Publish(Message),
}

/// A hint to the listeners of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub name: Name,
    pub state: State,
    pub number: i64,
}

/// A lease on its way to a parked client: handed on if the client is gone before it gets there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    pub db: u32,
    pub name: Name,
    pub token: Token,
}

/// A keyspace event's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    Lock,
    Fill,
    Fail,
    Pass,
    Invalidate,
    Release,
    Expire,
    InvalidateTag,
    Delete,
}

impl Node {
    /// Settles what the key becomes, from what was changed in its entry.
    pub(super) fn finish(&mut self, key: &mut Key, mut step: Step) -> Step {
        let now = key.moment.now();
        let existed = key.held == Held::Entry;
        let is_other = matches!(key.held, Held::String { .. } | Held::Foreign);
        if step.change == Change::Nothing || (is_other && step.change < Change::Value) {
            return step;
        }
        if key.entry.is_vacant(now) {
            if existed || is_other {
                step.becomes = Becomes::Removed;
                step.signals = true;
                step.notify(Word::Delete);
            }
            return step;
        }
        if existed && step.change < Change::Renewed {
            // What EXPIRE set is not undone by a rebuild, a failure or an invalidation.
            key.entry.end_value_at(key.expires);
        }
        let expire_at = match step.change {
            // A lease only ever lengthens the key's life: what PERSIST set is not undone either.
            Change::Nothing | Change::Lease if existed => key.expires.max(key.entry.lease_stored_until()),
            _ => key.entry.kept_until().max(key.entry.lease_stored_until()),
        };
        let value = match key.entry.value() {
            None => ValuePart::Absent,
            Some(_) if step.change == Change::Value || !existed => ValuePart::Carried,
            Some(_) => ValuePart::Kept,
        };
        // What the server keeps longer than it is of use is looked at then. A lease is in the table anyway.
        let until = match key.entry.value() {
            None => key.entry.marks_kept_until(),
            Some(_) if step.change == Change::Lease && key.entry.lease().is_none() => key.entry.kept_until(),
            Some(_) => UnixMs::EPOCH,
        };
        let is_husk = key.entry.value().is_none() || until < expire_at;
        if is_husk && until > UnixMs::EPOCH && !until.is_never() {
            self.husks.insert(key.db, Name::new(key.name), until);
        }
        step.signals |= !existed || step.change >= Change::Times;
        step.becomes = Becomes::Stored { value, expire_at };
        step
    }
}

impl Step {
    pub(crate) fn new() -> Self {
        Self {
            reply: Reply::Nothing,
            becomes: Becomes::Same,
            signals: false,
            effects: Vec::new(),
            change: Change::Nothing,
        }
    }

    /// The same step with another reply and other effects: values can be shown by their shadows.
    #[cfg(feature = "trace")]
    pub(crate) fn told(&self, reply: Reply, effects: Vec<Effect>) -> Self {
        Self { reply, becomes: self.becomes, signals: self.signals, effects, change: self.change }
    }

    /// A call that is refused changes nothing.
    pub(super) fn refused(error: Error) -> Self {
        Self { reply: Reply::Error(error), ..Self::new() }
    }

    /// What one step names is bounded; what is left is due on the next turn.
    pub(super) fn has_room(&self) -> bool {
        self.effects.len() < EFFECTS_AT_ONCE
    }

    pub(super) fn raise(&mut self, change: Change) {
        self.change = self.change.max(change);
    }

    pub(super) fn notify(&mut self, word: Word) {
        self.effects.push(Effect::Notify(word));
    }

    /// The lease of the key at hand ended: whoever watches it is to know.
    pub(super) fn tell_end(&mut self, word: Option<Word>) {
        self.signals = true;
        self.effects.extend(word.map(Effect::Notify));
    }
}

impl Word {
    const ALL: [Self; 9] = [
        Self::Lock,
        Self::Fill,
        Self::Fail,
        Self::Pass,
        Self::Invalidate,
        Self::Release,
        Self::Expire,
        Self::InvalidateTag,
        Self::Delete,
    ];

    /// Its number on the replication link; `None`: a replica tells it by itself.
    pub fn code(self) -> Option<u8> {
        (self != Self::Expire).then_some(self as u8)
    }

    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    pub const fn text(self) -> &'static core::ffi::CStr {
        match self {
            Word::Lock => c"cache.lock",
            Word::Fill => c"cache.fill",
            Word::Fail => c"cache.fail",
            Word::Pass => c"cache.pass",
            Word::Invalidate => c"cache.invalidate",
            Word::Release => c"cache.release",
            Word::Expire => c"cache.expire",
            Word::InvalidateTag => c"cache.invalidatetag",
            Word::Delete => c"del",
        }
    }
}
