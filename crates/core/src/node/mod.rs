//! The node: everything the module remembers on one server besides the entries, and every decision about them.
//!
//! | kind of method | which |
//! |---|---|
//! | a call on one key | `get_or_lock`, `fill`, `touch`, `set`, `fail`, `pass`, `release`, `renew`, `invalidate`, `outdate` |
//! | what happened elsewhere | [`Node::event`] |
//! | what is due | [`Node::turn`], [`Node::next_visit`] and [`Node::visit`], [`Node::next_release`], [`Node::next_due`] |
//! | what is known | the readers of [`report`] |
//!
//! A call is shown what its key holds and gives back a [`Step`]: what to reply, what becomes of the key, and what else
//! follows. Work that concerns another key than the one at hand is left to a *visit*: the timer opens that key and shows
//! it. Nothing here takes more steps than the logarithm of what there is, beyond what a call names.
//!
//! | room | what |
//! |---|---|
//! | [`rooms`], [`heap`] | who waits, in cohorts that merge; who listens |
//! | [`leases`], [`calendar`] | the leases known here, by deadline and age; who holds them |
//! | [`groups`] | limits, queues over keys, circuits |
//! | [`tags`] | marks of tags |
//! | [`outbox`] | answers on their way, paced |
//! | [`ask`], [`verdicts`], [`edits`] | the calls: asking; what a holder says; what others do to a key |
//! | [`handover`] | deciding anew who waited |
//! | [`turn`], [`event`] | what is due outside a call; what the server tells |
//! | [`stats`], [`top`], [`report`] | what operators see |
//! | `facts` | for the model checker: what can make a difference later |

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::answer::Answer;
use crate::codec::ValuePart;
use crate::entry::Entry;
use crate::error::Error;
use crate::lease::LeaseEnd;
use crate::policy::Policies;
use crate::settings::Settings;
use crate::time::{Clock, Moment, SteadyMs, UnixMs};
use crate::token::{Token, TokenSource};

pub mod arrivals;
pub mod ask;
pub mod calendar;
pub mod edits;
pub mod event;
#[cfg(feature = "model")]
pub mod facts;
pub mod groups;
pub mod handover;
pub mod heap;
pub mod leases;
pub mod name;
pub mod outbox;
pub mod report;
pub mod rooms;
pub mod slab;
pub mod stats;
pub mod tags;
#[cfg(test)]
mod tests;
pub mod top;
pub mod turn;
pub mod verdicts;

use arrivals::Arrivals;
use groups::{GroupId, Groups};
use leases::{ClientId, LeaseTable};
use name::Name;
use outbox::{Outbox, Outcome};
use rooms::{Rooms, WaiterId};
use slab::Id;
use stats::Counters;
use tags::Tags;
use top::Top;

/// Everything the module remembers on one server besides the entries.
#[derive(Default, Debug)]
#[cfg_attr(feature = "model", derive(Clone))]
pub struct Node {
    pub settings: Settings,
    pub(crate) tokens: TokenSource,
    pub(crate) leases: LeaseTable,
    pub(crate) rooms: Rooms,
    pub(crate) groups: Groups,
    pub(crate) tags: Tags,
    pub(crate) outbox: Outbox,
    pub counters: Counters,
    pub(crate) waiters_peak: u64,
    pub(crate) top: Top,
    /// How many calls asked: the place of each.
    asks: u64,
    /// Keys to be looked at, in this order.
    visits: BTreeMap<u64, (u32, Name)>,
    last_visit: u64,
    arrivals: Arrivals,
    /// Groups that may have a turn to give.
    due_groups: BTreeSet<GroupId>,
    /// When keys without a value go: theirs may be a later end in the server.
    husks: BTreeSet<(UnixMs, u32, Name)>,
    /// Those of flushed databases, to be freed in slices.
    flushed_husks: Vec<BTreeSet<(UnixMs, u32, Name)>>,
    /// Permits kept for listeners.
    reservations: BTreeSet<(SteadyMs, Id)>,
    /// Of connections whose BLOCK ran out in a queue.
    places: BTreeMap<ClientId, Place>,
    places_by_end: BTreeSet<(SteadyMs, ClientId)>,
    /// Closed connections whose ties are to be ended.
    gone: BTreeSet<ClientId>,
    messages: BTreeMap<u64, Message>,
    last_message: u64,
    /// Rooms that a pause keeps undecided.
    stalled: BTreeSet<Id>,
    role: Role,
    pause: Pause,
    /// Everybody is to be told this.
    draining: Option<Error>,
    /// The chunk of records to be swept next, after a flush.
    sweep: Option<u32>,
    /// Leases of a data set that is being loaded beside the present one, and marks of tags.
    staged: Vec<event::LoadedLease>,
    staged_marks: Vec<crate::codec::MarksRecord>,
    is_loading_beside: bool,
    /// A data set is being loaded in the place of the present one.
    is_loading: bool,
    /// Nothing of it has come yet.
    awaits_first: bool,
    /// Leases without a holder, until their keys are looked at: grants that did not arrive, and ties that closed.
    orphans: BTreeMap<(u32, Name, Token), LeaseEnd>,
    /// Keys that could not be looked at, and when that is tried again.
    postponed: BTreeSet<(SteadyMs, u32, Name)>,
    /// Groups whose circuit is not closed.
    tried: BTreeSet<GroupId>,
}

/// Whether this server may grant.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Role {
    #[default]
    Master,
    Replica,
}

/// Whether the server holds writes back, and since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pause {
    is_on: bool,
    /// Just behind the last moment seen outside a pause: what falls due from there on waits.
    held_from: UnixMs,
    /// When it is over: when deadlines that fell into it count again. While it is on: when to see whether it still is.
    resumes_at: Option<SteadyMs>,
}

impl Default for Pause {
    fn default() -> Self {
        Self { is_on: false, held_from: UnixMs::EPOCH, resumes_at: None }
    }
}

/// Nobody tells when a pause ends. Often enough that a handover after it is not noticed, in ms.
const LOOK_AGAIN_MS: u64 = 20;

/// How long after a pause the fills that the server held back come first, in ms.
const AFTER_PAUSE_MS: u64 = 10;

/// A place in a queue that a connection may come back to.
#[derive(Clone, Debug)]
struct Place {
    db: u32,
    name: Name,
    order: u64,
    until: SteadyMs,
}

/// A hint to the listeners of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub name: Name,
    pub state: crate::answer::State,
    pub number: i64,
}

/// What the node asks of the server while it decides. None of these may call back into the module.
pub trait Environment {
    /// A draw from 0..=1.
    fn random(&mut self) -> f64;
    /// Whether this key could be written now; asked outside pauses. An executor asks the server once per step.
    fn writes(&mut self) -> Writes;
    /// Whether a parked client's user may still ask for its key.
    fn permits(&mut self, waiter: WaiterId) -> bool;
    /// Whether the caller could be parked, with so many parked already.
    fn parking(&mut self, waiters: u64, percent: u64) -> Parking;
}

/// Whether the server lets a key be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Writes {
    Allowed,
    /// Over `maxmemory` with nothing to evict; the server's own error. Leases are granted all the same.
    OutOfMemory(Arc<[u8]>),
    /// MISCONF, NOREPLICAS, a cluster that is down: the server's own error.
    Refused(Arc<[u8]>),
}

/// Whether the server lets the caller be parked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parking {
    Possible,
    /// MULTI, a script, another module's call.
    Denied,
    /// Parked clients hold as much memory as they may.
    Memory,
    /// Nearly as many clients as may be are connected.
    Clients,
}

/// What a key can hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Held {
    Nothing,
    Entry,
    /// An ordinary string: everybody's answer is HIT. `value` where somebody waits for the key.
    String {
        value: Option<Arc<[u8]>>,
    },
    /// Another type: everybody is refused.
    Foreign,
}

/// One key at one moment, as it is shown to the node.
pub struct Key<'a> {
    pub db: u32,
    pub name: &'a [u8],
    pub held: Held,
    /// What it holds if it is an entry, else a vacant one; the node leaves here what it becomes.
    pub entry: &'a mut Entry,
    /// The key's own deadline in the server; [`UnixMs::NEVER`] if it has none.
    pub expires: UnixMs,
    pub moment: Moment,
    /// The server holds writes back: a pause, a failover, a slot that is handed over.
    pub is_paused: bool,
    pub environment: &'a mut dyn Environment,
}

/// Who calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// 0 in a script or under another module's call: there is no connection.
    pub client: ClientId,
}

/// What an input led to.
#[derive(PartialEq, Debug)]
pub struct Step {
    pub reply: Reply,
    pub becomes: Becomes,
    /// Whether WATCH and client-side caching are to be told.
    pub signals: bool,
    /// What else follows, in this order.
    pub effects: Vec<Effect>,
    change: Change,
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
enum Change {
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

impl Word {
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

    /// A call that is refused changes nothing.
    fn refused(error: Error) -> Self {
        Self { reply: Reply::Error(error), ..Self::new() }
    }

    /// What one step names is bounded; what is left is due on the next turn.
    fn has_room(&self) -> bool {
        self.effects.len() < EFFECTS_AT_ONCE
    }

    fn raise(&mut self, change: Change) {
        self.change = self.change.max(change);
    }

    fn notify(&mut self, word: Word) {
        self.effects.push(Effect::Notify(word));
    }

    /// The lease of the key at hand ended: whoever watches it is to know.
    fn tell_end(&mut self, word: Option<Word>) {
        self.signals = true;
        self.effects.extend(word.map(Effect::Notify));
    }
}

impl Node {
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// New groups. Who queues is decided anew.
    pub fn configure_groups(&mut self, policies: &Policies) {
        self.groups.configure(policies);
        self.due_groups = self.groups.ids().collect();
    }

    /// The floor that tagged hits are compared with.
    pub const fn tag_floor(&self) -> &crate::tag::TagFloor {
        self.tags.floor()
    }

    /// Where the tags of an entry that comes from elsewhere are to be had.
    pub fn tags(&mut self) -> &mut Tags {
        &mut self.tags
    }

    pub const fn is_master(&self) -> bool {
        matches!(self.role, Role::Master)
    }

    /// Now, as far as leases are concerned; notes whether the server is paused.
    fn clock(&mut self, moment: Moment, is_paused: bool) -> Clock {
        let now = moment.now();
        let steady = moment.steady();
        if is_paused {
            // Held from the last moment outside: a deadline between the two may have fallen into the pause.
            (self.pause.is_on, self.pause.resumes_at) = (true, Some(steady.plus(LOOK_AGAIN_MS)));
        } else if core::mem::take(&mut self.pause.is_on) {
            self.pause.resumes_at = Some(steady.plus(AFTER_PAUSE_MS));
        }
        if !self.pause.is_on && self.pause.resumes_at.is_some_and(|at| at <= steady) {
            self.pause.resumes_at = None;
        }
        if self.pause.resumes_at.is_some() {
            return Clock { now, held_from: self.pause.held_from };
        }
        // What falls due at this very moment is seen to have passed, and stays so.
        self.pause.held_from = now.plus(1);
        Clock::at(now)
    }

    /// The same, as it was last noted.
    fn noted_clock(&self, moment: Moment) -> Clock {
        match self.pause.resumes_at {
            None => Clock::at(moment.now()),
            Some(_) => Clock { now: moment.now(), held_from: self.pause.held_from },
        }
    }

    /// Has a key looked at by the timer.
    fn visit_key(&mut self, db: u32, name: Name) {
        self.last_visit += 1;
        self.visits.insert(self.last_visit, (db, name));
    }

    fn visit_room(&mut self, room: Id) {
        if let Some(open) = self.rooms.get_mut(room).filter(|open| !open.is_due && !open.is_leaving) {
            open.is_due = true;
            let (db, name) = (open.db, open.name.clone());
            self.visit_key(db, name);
        }
    }

    /// Has the listeners of a room told, if there are any.
    fn tell_listeners(&mut self, room: Id, state: crate::answer::State, number: i64) {
        self.dequeue_listeners(room);
        let Some(open) = self.rooms.get_mut(room) else { return };
        let Some(listening) = open.listening.take() else { return };
        let name = open.name.clone();
        self.rooms.listeners = self.rooms.listeners.saturating_sub(u64::from(listening.askers));
        self.last_message += 1;
        self.messages.insert(self.last_message, Message { name, state, number });
    }

    /// Settles what the key becomes, from what was changed in its entry.
    fn finish(&mut self, key: &mut Key, mut step: Step) -> Step {
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
            self.husks.insert((until, key.db, Name::new(key.name)));
        }
        step.signals |= !existed || step.change >= Change::Times;
        step.becomes = Becomes::Stored { value, expire_at };
        step
    }
}
