//! The lease table: every lease known on this node, who holds it, and when it ends.
//!
//! The lease itself lives in its key. A record here says where to look, and outlives the lease: a voided lease's holder
//! builds on, and those who joined it are to ask again when its deadline passes; a late holder can still fill for one
//! lease length, after which a key that holds nothing else must go.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::calendar::{Calendar, Pair, Paired};
use super::groups::GroupId;
use super::name::Name;
use super::slab::{Id, Slab, NIL};
use crate::time::{Clock, UnixMs};
use crate::token::Token;

/// The connection of a client; 0 for none (a script, another node's client).
pub type ClientId = u64;

/// One lease as this node remembers it.
#[derive(Clone, Debug)]
pub struct Record {
    pub name: Name,
    pub db: u32,
    pub group: GroupId,
    pub token: Token,
    /// When its state ends.
    pub until: UnixMs,
    pub holder: ClientId,
    /// The length it was granted for, in ms.
    pub length_ms: u32,
    by_end: Pair,
    by_age: Pair,
    pub state: RecordState,
    pub is_tied: bool,
    pub has_permit: bool,
    /// Somebody waits for it or listens: its deadline goes before others'.
    pub is_awaited: bool,
    /// Another node granted it: its token is of another clock.
    pub has_arrived: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordState {
    /// Until its deadline.
    Live,
    /// Its holder builds on, and its fill will not be stored. Until its deadline.
    Void,
    /// Past its deadline, and nobody took over. As long as its holder can still fill.
    Late,
}

#[derive(Clone, Default, Debug)]
pub struct LeaseTable {
    records: Slab<Record>,
    by_token: BTreeSet<(Token, Id)>,
    awaited: Calendar,
    plain: Calendar,
    late: Calendar,
    /// By connection: a closing one ends its ties. Those of nobody (loaded, replicated) are under 0.
    ties: BTreeSet<(ClientId, Id)>,
    /// By database and token: live leases at or below it are void without a word (a flush, a swap).
    floors: BTreeMap<u32, Token>,
    live: BTreeMap<u32, u64>,
}

struct ByEnd<'a>(&'a mut Slab<Record>);
struct ByAge<'a>(&'a mut Slab<Record>);

impl Paired for ByEnd<'_> {
    fn pair(&mut self, id: Id) -> Option<&mut Pair> {
        self.0.get_mut(id).map(|record| &mut record.by_end)
    }
}
impl Paired for ByAge<'_> {
    fn pair(&mut self, id: Id) -> Option<&mut Pair> {
        self.0.get_mut(id).map(|record| &mut record.by_age)
    }
}

/// Records of one token that are told apart: a payload restored under more names than this is known by its keys alone.
const TWINS: usize = 16;

/// The bucket of a token in a calendar by age: about a millisecond.
pub const fn age_of(token: Token) -> u64 {
    token.get() >> 10
}

impl Record {
    pub fn new(db: u32, name: Name, token: Token, group: GroupId, until: UnixMs, holder: ClientId) -> Self {
        Self {
            name,
            db,
            group,
            token,
            until,
            holder,
            length_ms: 0,
            by_end: Pair::ALONE,
            by_age: Pair::ALONE,
            state: RecordState::Live,
            is_tied: false,
            has_permit: false,
            is_awaited: false,
            has_arrived: false,
        }
    }
}

impl LeaseTable {
    /// How many records there are.
    #[cfg(feature = "trace")]
    pub(crate) const fn len(&self) -> usize {
        self.records.len()
    }

    /// How many leases are live.
    pub fn live(&self) -> u64 {
        self.live.values().sum()
    }

    pub fn get(&self, id: Id) -> Option<&Record> {
        self.records.get(id)
    }

    pub fn get_mut(&mut self, id: Id) -> Option<&mut Record> {
        self.records.get_mut(id)
    }

    /// Enters a record; [`NIL`] if there are too many of its token already. `ages` is its group's calendar.
    pub fn enter(&mut self, record: Record, ages: &mut Calendar) -> Id {
        let token = record.token;
        if self.with_token(token).count() >= TWINS {
            return NIL;
        }
        let (db, state) = (record.db, record.state);
        let id = self.records.insert(record);
        self.by_token.insert((token, id));
        ages.insert(age_of(token), id, &mut ByAge(&mut self.records));
        self.file(id);
        self.retie(id);
        if state == RecordState::Live && !self.is_floored(id) {
            *self.live.entry(db).or_default() += 1;
        }
        id
    }

    pub fn remove(&mut self, id: Id, ages: &mut Calendar) -> Option<Record> {
        self.count_out(id);
        self.unfile(id);
        let (token, holder) = self.records.get(id).map(|record| (record.token, record.holder))?;
        self.by_token.remove(&(token, id));
        self.ties.remove(&(holder, id));
        ages.remove(age_of(token), id, &mut ByAge(&mut self.records));
        self.records.remove(id)
    }

    /// The record of a key's lease.
    pub fn find(&self, db: u32, name: &[u8], token: Token) -> Option<Id> {
        self.with_token(token)
            .find(|id| self.records.get(*id).is_some_and(|record| record.db == db && *record.name == *name))
    }

    fn with_token(&self, token: Token) -> impl Iterator<Item = Id> + '_ {
        self.by_token.range((token, 0)..=(token, NIL)).map(|(_, id)| *id)
    }

    /// Changes a record's state, and until when that lasts.
    pub fn move_to(&mut self, id: Id, state: RecordState, until: UnixMs) {
        self.unfile(id);
        if state != RecordState::Live {
            self.count_out(id);
        }
        let Some(record) = self.records.get_mut(id) else { return };
        let was = core::mem::replace(&mut record.state, state);
        record.until = until;
        let db = record.db;
        if state == RecordState::Live && was != RecordState::Live && !self.is_floored(id) {
            *self.live.entry(db).or_default() += 1;
        }
        self.file(id);
    }

    /// Somebody waits for it from now on.
    pub fn await_end(&mut self, id: Id) {
        if self.records.get(id).is_some_and(|record| !record.is_awaited) {
            self.unfile(id);
            if let Some(record) = self.records.get_mut(id) {
                record.is_awaited = true;
            }
            self.file(id);
        }
    }

    pub fn set_holder(&mut self, id: Id, holder: ClientId, is_tied: bool) {
        let Some(record) = self.records.get_mut(id) else { return };
        self.ties.remove(&(record.holder, id));
        record.holder = holder;
        record.is_tied = is_tied;
        self.retie(id);
    }

    fn retie(&mut self, id: Id) {
        if let Some(record) = self.records.get(id).filter(|record| record.is_tied) {
            self.ties.insert((record.holder, id));
        }
    }

    /// The next lease tied to a connection.
    pub fn tied_to(&self, holder: ClientId) -> Option<Id> {
        self.ties.range((holder, 0)..=(holder, NIL)).next().map(|(_, id)| *id)
    }

    pub fn untie(&mut self, id: Id) {
        if let Some(record) = self.records.get_mut(id) {
            record.is_tied = false;
            self.ties.remove(&(record.holder, id));
        }
    }

    /// The next record whose deadline has passed, those that somebody waits for first.
    pub fn due(&self, clock: Clock) -> Option<Id> {
        [&self.awaited, &self.plain].into_iter().find_map(|calendar| due_in(calendar, clock))
    }

    /// The next record whose late holder's time is over.
    pub fn outlived(&self, now: UnixMs) -> Option<Id> {
        due_in(&self.late, Clock::at(now))
    }

    /// When the next record is due in either way.
    pub fn next_moment(&self) -> Option<UnixMs> {
        let firsts = [&self.awaited, &self.plain, &self.late].map(|calendar| calendar.first());
        firsts.into_iter().flatten().map(|(at, _)| UnixMs::new(at)).min()
    }

    /// Every lease of a database known by now is void without a word. O(1): records go by their deadlines or by
    /// [`LeaseTable::sweep`].
    pub fn raise_floor(&mut self, db: u32, token: Token) {
        self.live.remove(&db);
        let floor = self.floors.entry(db).or_insert(token);
        *floor = (*floor).max(token);
    }

    pub fn floor(&self, db: u32) -> Option<Token> {
        self.floors.get(&db).copied()
    }

    /// The databases with live leases or with a floor.
    pub fn databases(&self) -> Vec<u32> {
        self.live.keys().chain(self.floors.keys()).copied().collect()
    }

    pub fn clear_floors(&mut self) {
        self.floors.clear();
    }

    pub fn is_floored(&self, id: Id) -> bool {
        self.records.get(id).is_some_and(|record| self.floor(record.db).is_some_and(|floor| record.token <= floor))
    }

    pub fn is_token_floored(&self, token: Token) -> bool {
        self.with_token(token).any(|id| self.is_floored(id))
    }

    /// Records that are of no use any more: of a chunk, those that `is_idle` says of. Whether there are chunks behind.
    pub fn sweep(&self, chunk: u32, is_idle: impl Fn(Id, &Record) -> bool) -> (Vec<Id>, bool) {
        let (records, more) = self.records.chunk(chunk);
        (records.filter(|(id, record)| is_idle(*id, record)).map(|(id, _)| id).collect(), more)
    }

    /// Live leases in a calendar of ages, oldest first.
    pub fn by_age<'a>(&'a self, ages: &'a Calendar) -> impl Iterator<Item = &'a Record> + 'a {
        let mut at = ages.first();
        core::iter::from_fn(move || {
            let (bucket, id) = at?;
            let record = self.records.get(id)?;
            let next = record.by_age.next;
            at = if next == NIL { ages.first_from(bucket + 1) } else { Some((bucket, next)) };
            Some((id, record))
        })
        .filter(|(id, record)| record.state == RecordState::Live && !self.is_floored(*id))
        .map(|(_, record)| record)
    }

    fn file(&mut self, id: Id) {
        let Some(until) = self.filed_at(id) else { return };
        let (calendar, mut records) = self.filed_in(id);
        calendar.insert(until, id, &mut records);
    }

    fn unfile(&mut self, id: Id) {
        let Some(until) = self.filed_at(id) else { return };
        let (calendar, mut records) = self.filed_in(id);
        calendar.remove(until, id, &mut records);
    }

    /// What never ends is in no calendar.
    fn filed_at(&self, id: Id) -> Option<u64> {
        self.records.get(id)?.until.get()
    }

    fn filed_in(&mut self, id: Id) -> (&mut Calendar, ByEnd<'_>) {
        let state = self.records.get(id).map(|record| (record.state, record.is_awaited));
        let calendar = match state {
            Some((RecordState::Late, _)) => &mut self.late,
            Some((_, true)) => &mut self.awaited,
            _ => &mut self.plain,
        };
        (calendar, ByEnd(&mut self.records))
    }

    fn count_out(&mut self, id: Id) {
        let Some(record) = self.records.get(id) else { return };
        if record.state == RecordState::Live && !self.is_floored(id) {
            if let Some(live) = self.live.get_mut(&record.db) {
                *live = live.saturating_sub(1);
            }
        }
    }
}

fn due_in(calendar: &Calendar, clock: Clock) -> Option<Id> {
    calendar.first().filter(|(at, _)| clock.has_passed(UnixMs::new(*at))).map(|(_, id)| id)
}

#[cfg(feature = "model")]
impl LeaseTable {
    pub fn facts(&self, facts: &mut super::facts::Facts) {
        let mut records = self.records.clone();
        let mut due = Vec::new();
        for (number, calendar) in [&self.awaited, &self.plain, &self.late].into_iter().enumerate() {
            calendar.walk(&mut ByEnd(&mut records), |_, id| due.push((number as u64, id)));
        }
        // What never ends is in no calendar.
        let never = self.by_token.iter().filter(|(_, id)| self.filed_at(*id).is_none()).map(|(_, id)| (3, *id));
        due.extend(never);
        for (calendar, id) in due {
            let Some(record) = self.records.get(id) else { continue };
            facts.number(calendar);
            facts.key(record.db, &record.name);
            facts.numbers(&[u64::from(record.group.0), record.state as u64, u64::from(record.length_ms)]);
            facts.flags(&[record.is_tied, record.has_permit, record.is_awaited, record.has_arrived]);
            facts.token(record.token.get());
            facts.wall(record.until);
            facts.client(record.holder);
        }
        for (db, floor) in &self.floors {
            facts.number(u64::from(*db));
            facts.token(floor.get());
        }
    }
}
