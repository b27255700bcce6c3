//! Leases and marks that come from a file, a master or a payload.

use alloc::vec::Vec;

use super::groups::GroupId;
use super::leases::{Record, RecordState};
use super::name::Name;
use super::slab::{Id, NIL};
use super::step::Change;
use super::turn::AT_ONCE;
use super::{Held, Key, Node, Step};
use crate::codec::MarksRecord;
use crate::lease::{Lease, LeaseEnd};
use crate::time::{Clock, Moment};
use crate::token::Token;

/// A lease as it was loaded with its entry.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct LoadedLease {
    pub db: u32,
    pub name: Name,
    pub lease: Option<Lease>,
    /// The youngest token in the entry.
    pub youngest: Option<Token>,
    pub from: LoadedFrom,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub enum LoadedFrom {
    /// A file or a full synchronisation.
    DataSet,
    /// The same, beside a data set that serves.
    DataSetBeside,
    /// RESTORE or a slot migration: the server may still refuse it. `is_settled`: what was read is not what the payload
    /// said, so that replicas and the AOF, which get the payload, are to be told.
    Payload { is_settled: bool },
}

/// A data set that was loaded beside the one that served has taken its place: first what is known of the old one's leases
/// goes, then the new one's keys are looked at.
#[derive(Clone, Debug)]
pub(super) struct Takeover {
    /// Leases of the old one have tokens up to here.
    youngest: Option<Token>,
    /// The chunk of records that is next.
    chunk: Option<u32>,
    keys: Vec<(u32, Name)>,
}

impl Node {
    pub(super) fn loaded(&mut self, loaded: LoadedLease, moment: Moment) {
        self.awaits_first = false;
        // A payload's counts when a visit finds it in its key.
        if let Some(token) = loaded.youngest.filter(|_| !matches!(loaded.from, LoadedFrom::Payload { .. })) {
            self.tokens.see(token, moment.wall_us);
        }
        match loaded.from {
            LoadedFrom::DataSet => {
                // A history that is new to this replica is loaded in the place of the present one, whatever was announced.
                self.staged = None;
                self.list_loaded(&loaded, moment);
            }
            LoadedFrom::DataSetBeside => self.staged.get_or_insert_with(Vec::new).push((loaded.db, loaded.name)),
            LoadedFrom::Payload { is_settled } => {
                self.arrivals.note(loaded.db, loaded.name.clone(), loaded.youngest, is_settled);
                self.visit_key(loaded.db, loaded.name);
            }
        }
    }

    fn list_loaded(&mut self, loaded: &LoadedLease, moment: Moment) {
        match &loaded.lease {
            Some(lease) => self.list(loaded.db, &loaded.name, lease, moment),
            None => self.visit_key(loaded.db, loaded.name.clone()),
        }
    }

    /// Enters a lease that comes from elsewhere, unless it is known.
    pub(super) fn list(&mut self, db: u32, name: &[u8], lease: &Lease, moment: Moment) {
        if lease.deadline.plus(u64::from(lease.length_ms)) <= moment.now() {
            // Its key lives on for other things; a visit at its end has been.
            return;
        }
        if let Some(id) = self.leases.find(db, name, lease.token) {
            let is_void = self.leases.get(id).is_some_and(|record| record.state == RecordState::Void);
            if is_void && !lease.is_over(moment.now()) {
                self.refile(db, name, lease, 0);
            }
            return;
        }
        let group = self.groups.of(lease.group().map(|group| &**group));
        let id = self.enter_lease(db, name, lease, group, 0);
        if id != NIL && lease.is_over(moment.now()) {
            self.retire(id, RecordState::Late, lease.deadline.plus(u64::from(lease.length_ms)));
            self.return_late(id, group, lease);
        }
    }

    /// A record that was late when it came holds no permit.
    fn return_late(&mut self, id: Id, group: GroupId, lease: &Lease) {
        let Some(record) = self.leases.get_mut(id) else { return };
        if core::mem::take(&mut record.has_permit) {
            if let Some(group) = self.groups.get_mut(group) {
                group.return_permit(lease.deadline, id);
            }
        }
    }

    /// What a payload brought counts once it is seen in its key: its tokens, and its lease, which is listed; a tied one
    /// has no connection any more.
    pub(super) fn list_arrival(&mut self, key: &mut Key, clock: Clock, step: &mut Step) {
        let is_settled = self.arrivals.take(key.db, &Name::new(key.name));
        if key.held != Held::Entry {
            return;
        }
        if is_settled {
            step.raise(Change::Times);
        }
        let floor = key.entry.rare().and_then(|rare| rare.floor).map(|floor| floor.raised_by);
        let birth = key.entry.tagged().map(|tagged| tagged.birth);
        if let Some(token) = birth.max(floor) {
            self.tokens.see(token, key.moment.wall_us);
        }
        let Some(lease) = key.entry.lease().cloned() else { return };
        let floor = self.leases.floor(key.db);
        if floor.is_some_and(|floor| lease.token <= floor) {
            return;
        }
        self.tokens.see(lease.token, key.moment.wall_us);
        self.list(key.db, key.name, &lease, key.moment);
        let holder = self.holder(key.db, key.name, lease.token);
        if lease.is_tied && holder == Some(0) && self.is_master() && !clock.has_passed(lease.deadline) {
            self.holder_gone(key, lease.token, LeaseEnd::TieClosed, clock, step);
        }
    }

    /// Another data set is loaded in the place of this one: what is known of its leases goes with it. Nobody is served
    /// meanwhile, so this is done in one go.
    pub(super) fn forget_data_set(&mut self) {
        self.takeover = None;
        self.leases.clear_floors();
        let mut chunk = 0;
        while self.forget_chunk(chunk, None) {
            chunk += 1;
        }
    }

    /// A chunk of its leases, but for those that somebody waits for. They are void until they are found in the new one:
    /// their holders build on, and their deadlines have the waiters ask again. Whether there are chunks behind.
    fn forget_chunk(&mut self, chunk: u32, up_to: Option<Token>) -> bool {
        let is_old = |_, record: &Record| up_to.is_none_or(|last| record.token <= last);
        let (records, more) = self.leases.sweep(chunk, is_old);
        for id in records {
            match self.leases.get(id).map(|of| (of.state, of.until, of.is_awaited)) {
                Some((RecordState::Live, until, true)) => self.retire(id, RecordState::Void, until),
                None | Some((RecordState::Void, _, true)) => {}
                Some(_) => self.forget_record(id),
            }
        }
        more
    }

    pub(super) fn load_ended(&mut self, beside: bool, succeeded: bool) {
        if !beside {
            self.is_loading = false;
            self.awaits_first = false;
        }
        let staged = if beside { self.staged.take() } else { None };
        if !succeeded {
            return;
        }
        if let Some(keys) = staged {
            self.leases.clear_floors();
            self.takeover = Some(Takeover { youngest: self.tokens.last(), chunk: Some(0), keys });
        }
        self.tags.loaded(self.tokens.last());
        self.groups.close_all();
        if self.is_master() {
            self.gone.insert(0);
        }
    }

    /// A slice of what a data set that was loaded beside the present one leaves to do.
    pub(super) fn take_over(&mut self) {
        let Some(mut takeover) = self.takeover.take() else { return };
        match takeover.chunk {
            Some(chunk) => takeover.chunk = self.forget_chunk(chunk, takeover.youngest).then_some(chunk + 1),
            None => {
                for (db, name) in takeover.keys.drain(takeover.keys.len().saturating_sub(AT_ONCE)..) {
                    self.visit_key(db, name);
                }
            }
        }
        if takeover.chunk.is_some() || !takeover.keys.is_empty() {
            self.takeover = Some(takeover);
        }
    }

    /// What a master's step left of a key: obeyed, never judged by this server's clock or settings.
    pub fn applied(
        &mut self,
        db: u32,
        name: &[u8],
        before: Option<Token>,
        lease: Option<&Lease>,
        youngest: Option<Token>,
        moment: Moment,
    ) {
        self.awaits_first = false;
        if let Some(token) = youngest {
            self.tokens.see(token, moment.wall_us);
        }
        if let Some(before) = before {
            if let Some(record) = self.leases.find(db, name, before) {
                self.forget_record(record);
            }
        }
        if let Some(lease) = lease {
            self.list(db, name, lease, moment);
            if lease.is_tied && self.is_master() && !self.is_loading {
                // By a slot migration. Its connection is another server's: the tie ends when the slot is here.
                self.gone.insert(0);
            }
            if let Some(takeover) = self.takeover.as_mut().filter(|takeover| takeover.chunk.is_some()) {
                // It may pass for one of the old data set.
                takeover.keys.push((db, Name::new(name)));
            }
        }
        if let Some(room) = self.rooms.find(db, name) {
            self.visit_room(room);
        }
    }

    /// A master's marks of tags, or a file's. Those of a data set that is loaded beside the present one count at once: both
    /// are of one history, and what comes later in it invalidates what is served of it meanwhile.
    pub fn applied_marks(&mut self, marks: &MarksRecord, moment: Moment) {
        self.tokens.see(marks.token, moment.wall_us);
        let tags: Vec<&[u8]> = marks.tags.iter().map(|tag| &**tag).collect();
        match tags.is_empty() {
            true => self.tags.apply_floor(marks.token, marks.at, marks.swr_ms),
            // How many are kept is the master's business: it tells the floor.
            false => self.tags.mark(&tags, marks.token, marks.at, marks.swr_ms, u64::MAX),
        }
    }
}
