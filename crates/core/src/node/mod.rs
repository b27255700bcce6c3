//! The node: everything the module remembers on one server besides the entries, and every decision about them.
//!
//! | kind of method | which |
//! |---|---|
//! | a call on one key | [`Node::request`] |
//! | what happened elsewhere | [`Node::event`] |
//! | what is due | [`Node::turn`], [`Node::next_visit`], [`Node::next_release`], [`Node::next_due`] |
//! | what is known | the readers of [`report`] |
//!
//! A call is shown what its key holds and gives back a [`Step`]: what to reply, what becomes of the key, and what else
//! follows. Work that concerns another key than the one at hand is left to a *visit*: the timer opens that key and shows
//! it. Nothing here takes more steps than the logarithm of what there is, beyond what a call names.
//!
//! | room | what |
//! |---|---|
//! | [`input`], [`step`] | what the node is shown, and what it says |
//! | [`ask`], [`verdicts`], [`edits`] | the calls: asking; what a holder says; what others do to a key |
//! | [`parking`], [`listeners`], [`grants`] | what becomes of who asks |
//! | [`ends`], [`ties`], [`sieve`], [`writing`] | how a lease ends, and what is left in the entry |
//! | [`handover`], [`queues`], [`answers`] | who waited is decided anew, has a turn, is answered |
//! | [`turn`], [`visits`], [`release`] | what is due outside a call |
//! | [`event`], [`loading`], [`arrivals`], [`pause`] | what the server tells; other data sets; payloads; writes held back |
//! | [`rooms`], [`leases`], [`groups`], [`tags`], [`outbox`], [`husks`] | what is remembered |
//! | [`heap`], [`calendar`], [`slab`], [`name`] | of what that is made |
//! | [`stats`], [`top`], [`report`] | what operators see |
//! | `facts` | for the model checker: what can make a difference later |

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::error::Error;
use crate::lease::LeaseEnd;
use crate::policy::Policies;
use crate::request::Request;
use crate::settings::Settings;
use crate::time::SteadyMs;
use crate::token::{Token, TokenSource};

pub mod answers;
pub mod arrivals;
pub mod ask;
pub mod calendar;
pub mod edits;
pub mod ends;
pub mod event;
#[cfg(feature = "model")]
pub mod facts;
pub mod grants;
pub mod groups;
pub mod handover;
pub mod heap;
pub mod husks;
pub mod input;
pub mod leases;
pub mod listeners;
pub mod loading;
pub mod name;
pub mod outbox;
pub mod parking;
pub mod pause;
pub mod queues;
pub mod release;
pub mod report;
pub mod rooms;
pub mod sieve;
pub mod slab;
pub mod stats;
pub mod step;
pub mod tags;
#[cfg(test)]
mod tests;
pub mod ties;
pub mod top;
pub mod turn;
pub mod verdicts;
pub mod visits;
pub mod writing;

pub use crate::request::{Caller, Form};
pub use input::{Environment, Held, Key, Parking, Writes};
pub use step::{Becomes, Effect, Grant, Message, Reply, Step, Word};

use groups::{GroupId, Groups};
use husks::Husks;
use leases::{ClientId, LeaseTable};
use loading::Takeover;
use name::Name;
use outbox::Outbox;
use pause::Pause;
use queues::Place;
use rooms::Rooms;
use slab::Id;
use stats::Counters;
use step::Change;
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
    pub(crate) peak_since_look: u64,
    pub(crate) top: Top,
    /// How many calls asked: the place of each.
    asks: u64,
    /// Keys to be looked at, in this order.
    visits: BTreeMap<u64, (u32, Name)>,
    last_visit: u64,
    arrivals: arrivals::Arrivals,
    /// Groups that may have a turn to give.
    due_groups: BTreeSet<GroupId>,
    /// When keys without a value go: theirs may be a later end in the server.
    husks: Husks,
    /// Those of flushed databases, to be freed in slices.
    flushed_husks: Vec<Husks>,
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
    /// Keys with leases of a data set that is being loaded beside the present one; `None`: in its place.
    staged: Option<Vec<(u32, Name)>>,
    takeover: Option<Takeover>,
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

impl Node {
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// A call on one key, or a look at it by the timer.
    pub fn request(&mut self, key: &mut Key, request: &Request) -> Step {
        match *request {
            Request::GetOrLock { ref options, caller, form } => self.get_or_lock(key, options, caller, form),
            Request::Fill { token, value, ref labels } => self.fill(key, token, value, labels),
            Request::Touch { token, ref labels } => self.touch(key, token, labels),
            Request::Set { value, ref labels } => self.set(key, value, labels),
            Request::Fail { token, message, backoff_ms } => self.fail(key, token, message, backoff_ms),
            Request::Pass { token, pass_ms } => self.pass(key, token, pass_ms),
            Request::Release { token } => self.release(key, token),
            Request::Renew { token, ms, caller, is_tied } => self.renew(key, token, ms, caller, is_tied),
            Request::Invalidate => self.invalidate(key),
            Request::Outdate { version, floor_ms } => self.outdate(key, version, floor_ms),
            Request::Visit => self.visit(key),
            Request::Observe => self.observe(key),
        }
    }

    /// Settings as they are from now on.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// How much of each kind is remembered: two nodes that were told the same remember as much.
    #[cfg(feature = "trace")]
    pub(crate) fn extents(&self) -> [usize; 8] {
        [
            self.leases.len(),
            self.rooms.len(),
            self.rooms.waiters(),
            self.visits.len(),
            self.husks.len(),
            self.orphans.len(),
            self.messages.len(),
            self.tags.len(),
        ]
    }

    /// For what is counted outside.
    pub fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
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
}
