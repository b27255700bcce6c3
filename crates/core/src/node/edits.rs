//! What others do to a key, without a token: SET, INVALIDATE, OUTDATE; and marks of tags.

use super::groups::GroupId;
use super::sieve::is_behind;
use super::{Change, Held, Key, Node, Reply, Step, Word};
use crate::answer::Answer;
use crate::codec::MarksRecord;
use crate::entry::{Entry, Floor};
use crate::error::Error;
use crate::policy::Policy;
use crate::request::Labels;
use crate::time::{Clock, Moment, UnixMs};

impl Node {
    /// CACHE.SET: stores the value whoever holds the lease, over any type.
    pub fn set(&mut self, key: &mut Key, value: &[u8], labels: &Labels) -> Step {
        let mut step = Step::new();
        let clock = self.clock(key.moment, key.is_paused);
        if let Some(error) = self.may_not_write(key) {
            return Step::refused(error);
        }
        let now = clock.now;
        self.settle(key, clock, &mut step);
        if labels.only_if_absent {
            if let Some(reply) = self.what_is_there(key) {
                step.reply = reply;
                return self.finish(key, step);
            }
        }
        if key.held == Held::Entry && is_behind(key.entry, labels.version, now) {
            self.counters.behind_fills += 1;
            step.reply = Reply::Nil;
            return self.finish(key, step);
        }
        // Its place among all tokens is its birth: what was marked before is older.
        let Some(birth) = self.tokens.next(key.moment.wall_us) else {
            step.reply = Reply::Nil;
            return self.finish(key, step);
        };
        self.void(key, clock, &mut step);
        if matches!(key.held, Held::String { .. } | Held::Foreign) {
            *key.entry = Entry::vacant();
        }
        let policy = self.groups.get(GroupId::DEFAULT).map_or(Policy::NONE, |group| group.policy.clone());
        let defaults = self.settings.freshness(&policy);
        let times = labels.freshness.resolve(now, defaults, || key.environment.random());
        self.store(key, value.into(), times, labels, birth, &mut step);
        step.reply = Reply::Ok;
        step.tell_end(Some(Word::Fill));
        self.finish(key, step)
    }

    /// What keeps SET NX from storing: the reply of CACHE.GET.
    fn what_is_there(&mut self, key: &Key) -> Option<Reply> {
        let now = key.moment.now();
        let clock = Clock::at(now);
        match &key.held {
            Held::String { .. } => Some(Reply::Answer(Answer::hit_of_string(key.expires, now))),
            Held::Foreign => Some(Reply::Error(Error::WrongType)),
            Held::Nothing => None,
            Held::Entry => {
                let is_there = key.entry.is_fresh(now) || key.entry.live_lease(clock).is_some();
                is_there.then(|| Reply::Answer(key.entry.peek(clock)))
            }
        }
    }

    /// CACHE.INVALIDATE: the value is stale from now on, the lease is void. Replies 1 if there was an entry.
    ///
    /// A failure's back-off stays: it protects the source, which is no healthier for it.
    pub fn invalidate(&mut self, key: &mut Key) -> Step {
        let mut step = Step::new();
        let clock = self.clock(key.moment, key.is_paused);
        if let Some(error) = self.may_not_write(key) {
            return Step::refused(error);
        }
        step.reply = Reply::Number(0);
        if key.held != Held::Entry {
            return step;
        }
        if let Some(error) = self.refused_to_store(key) {
            return Step::refused(error);
        }
        self.settle(key, clock, &mut step);
        let had_entry = !key.entry.is_vacant(clock.now) || step.change > Change::Nothing;
        // Also in the key's last millisecond: a late fill would still count in it.
        let ends_unknown = key.entry.live_lease(clock).is_none();
        self.void(key, clock, &mut step);
        if !had_entry {
            return self.finish(key, step);
        }
        key.entry.outdate(clock.now);
        if let Some(rare) = key.entry.rare_mut() {
            rare.pass_until = UnixMs::EPOCH;
            if ends_unknown {
                rare.unknown_until = UnixMs::EPOCH;
            }
        }
        key.entry.drop_idle();
        step.reply = Reply::Number(1);
        step.raise(Change::Times);
        step.tell_end(Some(Word::Invalidate));
        self.attend(key, clock, &mut step);
        self.finish(key, step)
    }

    /// CACHE.OUTDATE: the source has at least this version. Replies the floor.
    pub fn outdate(&mut self, key: &mut Key, version: u64, floor_ms: Option<u64>) -> Step {
        let mut step = Step::new();
        let clock = self.clock(key.moment, key.is_paused);
        if let Some(error) = self.may_not_write(key) {
            return Step::refused(error);
        }
        let now = clock.now;
        if matches!(key.held, Held::String { .. } | Held::Foreign) {
            step.reply = Reply::Error(Error::WrongType);
            return step;
        }
        self.settle(key, clock, &mut step);
        let present = key.entry.floor(now).copied();
        let until = now.plus(floor_ms.unwrap_or(self.settings.floor_ms));
        let raised = present.is_none_or(|floor| floor.version < version);
        let Some(token) = (if raised { self.tokens.next(key.moment.wall_us) } else { self.tokens.last() }) else {
            step.reply = Reply::Number(present.map_or(0, |floor| floor.version));
            return self.finish(key, step);
        };
        let floor = Floor {
            version: present.map_or(version, |floor| floor.version.max(version)),
            raised_by: present.filter(|_| !raised).map_or(token, |floor| floor.raised_by),
            until: present.map_or(until, |floor| floor.until.max(until)),
        };
        key.entry.rare_or_insert().floor = Some(floor);
        if key.entry.value().is_some() && key.entry.version().is_none_or(|kept| kept < floor.version) {
            key.entry.outdate(now);
        }
        step.raise(Change::Times);
        step.reply = Reply::Number(floor.version);
        step.notify(Word::Invalidate);
        self.finish(key, step)
    }

    /// CACHE.INVALIDATETAG: marks tags, whatever entries have them. `None` if tokens have run out.
    pub fn invalidate_tags(&mut self, tags: &[&[u8]], swr_ms: Option<u64>, moment: Moment) -> Option<MarksRecord> {
        if let Some(youngest) = self.arrivals.youngest() {
            self.tokens.see(youngest, moment.wall_us);
        }
        let token = self.tokens.next(moment.wall_us)?;
        self.counters.tag_invalidations += tags.len() as u64;
        self.tags.mark(tags, token, moment.now(), swr_ms, self.settings.max_tags);
        let tags = tags.iter().map(|tag| (*tag).into()).collect();
        Some(MarksRecord { token, at: moment.now(), swr_ms, tags })
    }
}
