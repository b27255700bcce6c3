//! What is known: the readers behind INFO, CACHE.INFO, CACHE.LEASES, CACHE.TOP and CACHE.TAGS.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::leases::{ClientId, Record};
use super::name::Name;
use super::stats::Tally;
use super::top::Costs;
use super::Node;
use crate::answer::Answer;
use crate::codec::MarksRecord;
use crate::entry::Entry;
use crate::policy::info_name;
use crate::request::{LeasesWanted, TopWanted};
use crate::time::{Clock, UnixMs};
use crate::token::Token;

/// A lease as CACHE.LEASES tells it. Its times are the key's to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseReport {
    pub db: u32,
    pub name: Name,
    pub token: Token,
    pub holder: ClientId,
    pub waiters: u32,
    pub group: Vec<u8>,
}

/// Who waits for a key.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Audience {
    pub waiters: u32,
    pub listeners: u32,
}

/// One group as INFO tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupReport {
    pub name: String,
    pub live: u64,
    pub permits: usize,
    pub queued: usize,
    pub granted: u64,
    pub refused: u64,
    pub circuit: &'static str,
}

impl Node {
    pub fn live_leases(&self) -> u64 {
        self.leases.live()
    }

    pub fn waiters(&self) -> u64 {
        self.rooms.waiters() as u64
    }

    pub fn listeners(&self) -> u64 {
        self.rooms.listeners
    }

    pub const fn waiters_peak(&self) -> u64 {
        self.waiters_peak
    }

    pub fn tags_kept(&self) -> u64 {
        self.tags.len() as u64
    }

    /// The tag floor, as a token; 0 for none.
    pub fn tag_floor_token(&self) -> u64 {
        self.tags.floor().get()
    }

    /// The mark of a tag, in ms since the epoch; the floor's moment if none is known.
    pub fn tag_moment(&self, tag: &[u8]) -> u64 {
        self.tags.moment(tag).get().unwrap_or(0)
    }

    /// Whether a key's room has anybody in it: then its string is wanted with it.
    pub fn is_awaited(&self, db: u32, name: &[u8]) -> bool {
        self.rooms.find(db, name).is_some()
    }

    /// Whether anybody waits or listens at all.
    pub fn has_rooms(&self) -> bool {
        self.rooms.len() > 0
    }

    pub fn audience(&self, db: u32, name: &[u8]) -> Audience {
        let room = self.rooms.find(db, name).and_then(|room| self.rooms.get(room));
        room.map_or(Audience::default(), |room| Audience {
            waiters: room.waiters,
            listeners: room.listening.map_or(0, |listening| listening.askers),
        })
    }

    /// The connection that holds a key's lease; `None` if it is not known here, 0 for none.
    pub fn holder(&self, db: u32, name: &[u8], token: Token) -> Option<ClientId> {
        self.leases.find(db, name, token).and_then(|id| self.leases.get(id)).map(|record| record.holder)
    }

    /// An entry as a reader sees it: what its tags say applied, a lease below its database's floor left out. Where a lease
    /// came from is not told: one that is loaded or arrives is no better than another node's.
    pub fn seen(&self, db: u32, entry: &Entry) -> Entry {
        let mut seen = entry.clone();
        let floor = self.leases.floor(db);
        if let Some(floor) = floor.filter(|floor| seen.lease().is_some_and(|lease| lease.token <= *floor)) {
            seen.void_lease_unseen(UnixMs::from_micros(floor.get()));
        }
        if let Some(judgement) = seen.tagged().and_then(|tagged| self.tags.judge(tagged)) {
            seen.judge(judgement);
            if seen.lease().is_some_and(|lease| lease.token < judgement.mark) {
                seen.void_lease(Clock::at(UnixMs::from_micros(judgement.mark.get())));
            }
        }
        if let Some(lease) = &mut seen.lease {
            lease.has_arrived = false;
        }
        seen
    }

    /// Whether [`Node::seen`] would show the entry otherwise than it is.
    pub fn differs(&self, db: u32, entry: &Entry) -> bool {
        let floor = self.leases.floor(db);
        entry.lease().is_some_and(|lease| lease.has_arrived || floor.is_some_and(|floor| lease.token <= floor))
            || entry.tagged().is_some_and(|tagged| tagged.is_marked(self.tags.floor()))
    }

    /// What CACHE.GET answers of an entry.
    pub fn peek(&self, db: u32, entry: &Entry, now: UnixMs) -> Answer {
        if !self.differs(db, entry) {
            return entry.peek(Clock::at(now));
        }
        let mut seen = self.seen(db, entry);
        if entry.tagged().is_some_and(|tagged| tagged.is_marked(self.tags.floor())) {
            // A mark of a master whose clock was ahead is no later than now.
            seen.outdate(now);
        }
        seen.peek(Clock::at(now))
    }

    /// An entry that arrives from another node, judged also by the marks of the last minute. Says whether that changed it,
    /// or its lease is known for another node's from now on.
    pub fn judge_arrival(&self, entry: &mut Entry, now: UnixMs) -> bool {
        let judgement = entry.tagged().and_then(|tagged| self.tags.judge_arrival(tagged, now));
        let is_judged = judgement.is_some_and(|judgement| entry.judge(judgement));
        is_judged | entry.lease.as_mut().is_some_and(|lease| !core::mem::replace(&mut lease.has_arrived, true))
    }

    /// Live leases, longest held first, at most `wanted.count`.
    pub fn leases(&self, wanted: &LeasesWanted, now: UnixMs) -> Vec<LeaseReport> {
        let latest = now.minus(wanted.min_age_ms);
        let is_old_enough =
            |record: &&Record| UnixMs::from_micros(record.token.get()) <= latest || wanted.min_age_ms == 0;
        match wanted.group {
            Some(name) => {
                let group = self.groups.named(name).and_then(|id| self.groups.get(id));
                let records = group.into_iter().flat_map(|group| self.leases.by_age(&group.ages));
                records.take_while(is_old_enough).take(wanted.count).map(|record| self.report(record)).collect()
            }
            None => {
                // The oldest of each group, and what is behind it.
                let mut sources: Vec<_> = Vec::new();
                for (_, group) in self.groups.iter() {
                    let mut records = self.leases.by_age(&group.ages);
                    sources.extend(records.next().map(|first| (first, records)));
                }
                let mut found = Vec::new();
                while found.len() < wanted.count {
                    let oldest = (0..sources.len()).min_by_key(|at| sources.get(*at).map(|(first, _)| first.token));
                    let Some((first, records)) = oldest.and_then(|at| sources.get_mut(at)) else { break };
                    if !is_old_enough(first) {
                        break;
                    }
                    found.push(self.report(first));
                    match records.next() {
                        Some(next) => *first = next,
                        None => {
                            oldest.map(|at| sources.swap_remove(at));
                        }
                    }
                }
                found
            }
        }
    }

    fn report(&self, record: &Record) -> LeaseReport {
        LeaseReport {
            db: record.db,
            name: record.name.clone(),
            token: record.token,
            holder: record.holder,
            waiters: self.audience(record.db, &record.name).waiters,
            group: self.groups.get(record.group).map_or_else(Vec::new, |group| group.name.to_vec()),
        }
    }

    pub fn top(&self, wanted: TopWanted) -> Vec<&Costs> {
        self.top.dearest(wanted.by, wanted.count)
    }

    /// The groups that are configured or were named.
    pub fn groups(&self, now: UnixMs) -> Vec<GroupReport> {
        let is_used = |group: &&super::groups::Group| {
            group.is_configured()
                || group.granted.sum() > 0
                || group.live > 0
                || group.queued() > 0
                || group.refused.sum() > 0
        };
        let groups = self.groups.iter().map(|(_, group)| group).filter(is_used);
        let mut found: Vec<GroupReport> = Vec::new();
        let mut places = BTreeMap::new();
        for group in groups {
            let name = info_name(&group.name).to_string();
            let place = *places.entry(name.clone()).or_insert(found.len());
            if place == found.len() {
                let circuit = group.circuit.word(now);
                found.push(GroupReport { name, live: 0, permits: 0, queued: 0, granted: 0, refused: 0, circuit });
            }
            // Names that are not in the settings can become one here: a field stands once.
            if let Some(report) = found.get_mut(place) {
                report.live += group.live;
                report.permits += group.permits();
                report.queued += group.queued();
                report.granted += group.granted.sum();
                report.refused += group.refused.sum();
            }
        }
        found
    }

    /// What is counted here and has no base elsewhere: from here on all of it would go with the next reset.
    pub fn look_at_stats(&mut self) {
        self.groups.tallies().for_each(Tally::look);
        self.top.look();
        self.peak_since_look = self.waiters();
    }

    /// CONFIG RESETSTAT, some time after the last look: what was counted up to then counts no more.
    pub fn reset_stats(&mut self) {
        self.groups.tallies().for_each(Tally::begin_anew);
        self.top.begin_anew();
        self.waiters_peak = self.peak_since_look;
    }

    /// The floor and the marks that are kept, as the records that replicas get.
    pub fn marks(&self) -> Vec<MarksRecord> {
        let all = self.tags.slice(None, usize::MAX);
        let marks = all.iter().filter_map(|(token, tag)| {
            let (at, served_until) = self.tags.mark_of(tag)?;
            let swr_ms = crate::answer::until(at, served_until);
            Some(MarksRecord { token: *token, at, swr_ms, tags: alloc::vec![tag.0.name().into()] })
        });
        self.tags.floor_records().into_iter().chain(marks).collect()
    }

    /// Whether the node still knows a parked client, for tests.
    pub fn is_parked(&self, waiter: super::rooms::WaiterId) -> bool {
        self.rooms.waiter(waiter).is_some()
    }
}
