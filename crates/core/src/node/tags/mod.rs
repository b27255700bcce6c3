//! The marks of tags: which tags were invalidated, when, and how long old values may still serve.

#![allow(clippy::mutable_key_type, reason = "ordered by name alone, which never changes")]

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use crate::codec::MarksRecord;
use crate::entry::Judgement;
use crate::tag::{ByName, Intern, Tag, TagFloor, Tagged};
use crate::time::UnixMs;
use crate::token::Token;

#[cfg(feature = "model")]
mod facts;
mod mark;
mod since;
#[cfg(test)]
mod tests;

use mark::Mark;
use since::Since;

#[derive(Debug)]
pub struct Tags {
    /// Every tag that an entry or a mark has. Swept of those that nothing has any more, two with each new one.
    names: BTreeSet<ByName>,
    sweep_from: Option<Arc<Tag>>,
    /// Something had a tag since the start.
    are_used: bool,
    marks: BTreeMap<ByName, Mark>,
    by_token: BTreeSet<(Token, ByName)>,
    floor: TagFloor,
    floor_at: UnixMs,
    /// Of what the floor was before, and of marks that were forgotten.
    floor_since: Since,
    /// Of the marks that were forgotten: entries born up to a token serve until a moment at most.
    floor_cap: Option<(Token, UnixMs)>,
    /// When the youngest of them was set.
    forgot_at: UnixMs,
    /// The floor rose here, and replicas are yet to be told: they do not forget by themselves.
    floor_is_news: bool,
    /// Some mark has had a cap since the last flush.
    has_caps: bool,
    /// The last mark set on this node, of whatever tag.
    last: u64,
    /// Leases up to here were granted before a load: which marks came meanwhile is not known.
    fills_floor: u64,
    /// What flushes have left, to be freed in slices.
    forgotten: Vec<Forgotten>,
}

/// Marks by tag, and by the token they were set under.
type Forgotten = (BTreeMap<ByName, Mark>, BTreeSet<(Token, ByName)>);

/// Marks forgotten in one go.
const AT_ONCE: usize = 64;

/// Two nodes' clocks differ: an entry that arrives is judged by marks this much older than its coming, too, in ms, and a
/// fill under a lease that arrives by marks this much older than the grant.
const ARRIVAL_MS: u64 = 60_000;

impl Default for Tags {
    fn default() -> Self {
        Self {
            names: BTreeSet::new(),
            sweep_from: None,
            are_used: false,
            marks: BTreeMap::new(),
            by_token: BTreeSet::new(),
            floor: TagFloor::default(),
            floor_at: UnixMs::EPOCH,
            floor_since: Since::default(),
            floor_cap: None,
            forgot_at: UnixMs::EPOCH,
            floor_is_news: false,
            has_caps: false,
            last: 0,
            fills_floor: 0,
            forgotten: Vec::new(),
        }
    }
}

impl Intern for Tags {
    fn intern(&mut self, name: &[u8]) -> Arc<Tag> {
        if let Some(tag) = self.names.get(name) {
            return tag.0.clone();
        }
        self.are_used = true;
        self.sweep();
        self.sweep();
        let tag = Tag::new(name);
        self.names.insert(ByName(tag.clone()));
        tag
    }
}

impl Tags {
    pub const fn floor(&self) -> &TagFloor {
        &self.floor
    }

    /// The last mark set: what a waiter remembers at its ask.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// How many marks are kept.
    pub(crate) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether something has had a tag since the start.
    pub const fn are_used(&self) -> bool {
        self.are_used
    }

    /// Marks tags. At most `kept` marks are remembered; the oldest goes, and the floor rises to it.
    pub fn mark(&mut self, tags: &[&[u8]], token: Token, at: UnixMs, swr_ms: Option<u64>, kept: u64) {
        self.last = self.last.max(token.get());
        for name in tags {
            let tag = ByName(self.intern(name));
            let before = self.marks.remove(&tag);
            if let Some(before) = &before {
                // Marks can come out of order from a master: the youngest counts.
                if before.token > token {
                    self.marks.insert(tag, before.clone());
                    continue;
                }
                self.by_token.remove(&(before.token, tag.clone()));
            }
            let mut mark = Mark { token, at, since: Since::default(), caps: Vec::new() };
            if let Some(before) = before {
                (mark.since, mark.caps) = (before.since, before.caps);
                mark.since.note(before.token, before.at);
            }
            if let Some(ms) = swr_ms {
                self.has_caps = true;
                mark.cap(token, at.plus(ms), at);
            }
            tag.0.set_mark(Some(token));
            self.by_token.insert((token, tag.clone()));
            self.marks.insert(tag, mark);
        }
        self.trim(kept);
    }

    /// Forgets the oldest marks beyond `kept`, a few at a time. Whether there are more.
    pub fn trim(&mut self, kept: u64) -> bool {
        for _ in 0..AT_ONCE {
            if !self.is_beyond(kept) {
                return false;
            }
            let Some((_, tag)) = self.by_token.pop_first() else { return false };
            let mark = self.marks.remove(&tag);
            // The floor first: in between, the entry must not look fresh.
            if let Some(mark) = mark {
                self.cover_mark(&mark);
                self.floor_is_news = true;
            }
            tag.0.set_mark(None);
        }
        self.is_beyond(kept)
    }

    /// What was not served any more is not served again because its mark is forgotten.
    fn cover_mark(&mut self, mark: &Mark) {
        self.cover(mark.token, mark.at, mark.whole_cap());
        self.forgot_at = self.forgot_at.max(mark.at);
        mark.since.iter().for_each(|(token, at)| self.floor_since.note(*token, *at));
    }

    fn cover(&mut self, token: Token, at: UnixMs, cap: Option<(Token, UnixMs)>) {
        match Token::new(self.floor.get()) {
            Some(before) if before < token => self.floor_since.note(before, self.floor_at),
            Some(before) if token < before => self.floor_since.note(token, at),
            _ => {}
        }
        self.floor.raise_to(token.get());
        self.floor_at = self.floor_at.max(at);
        self.floor_cap = match (self.floor_cap, cap) {
            (Some((older, first)), Some((younger, second))) => Some((older.max(younger), first.min(second))),
            (one, other) => one.or(other),
        };
        self.last = self.last.max(token.get());
    }

    /// The floor as the records that replicas get: its cap, then itself.
    pub fn floor_records(&self) -> Vec<MarksRecord> {
        let Some(token) = Token::new(self.floor.get()) else { return Vec::new() };
        let cap = self.floor_cap.map(|(token, until)| {
            let at = self.floor_at.min(until);
            MarksRecord { token, at, swr_ms: Some(at.until(until)), tags: Vec::new() }
        });
        let floor = MarksRecord { token, at: self.floor_at, swr_ms: None, tags: Vec::new() };
        cap.into_iter().chain([floor]).collect()
    }

    /// The same, if they are yet to be told.
    pub fn take_news(&mut self) -> Vec<MarksRecord> {
        match core::mem::take(&mut self.floor_is_news) {
            true => self.floor_records(),
            false => Vec::new(),
        }
    }

    pub const fn has_news(&self) -> bool {
        self.floor_is_news
    }

    /// A floor that comes from a master or a file. Marks that it has risen over say nothing more than it does: they are
    /// forgotten in slices.
    pub fn apply_floor(&mut self, token: Token, at: UnixMs, swr_ms: Option<u64>) {
        self.cover(token, at, swr_ms.map(|ms| (token, at.plus(ms))));
        // As it rises by one mark or two, as many go.
        self.forget_covered(2);
    }

    /// Forgets marks that the floor has risen over, so many at most. What they have capped stays so.
    fn forget_covered(&mut self, count: usize) {
        for _ in 0..count {
            if !self.has_covered() {
                return;
            }
            let Some((_, tag)) = self.by_token.pop_first() else { return };
            if let Some(mark) = self.marks.remove(&tag) {
                let before = self.floor_cap;
                self.cover_mark(&mark);
                self.floor_is_news |= self.floor_cap != before;
            }
            tag.0.set_mark(None);
        }
    }

    fn has_covered(&self) -> bool {
        self.by_token.first().is_some_and(|(oldest, _)| oldest.get() <= self.floor.get())
    }

    /// Another data set is about to be loaded, which brings its own marks.
    pub fn reset(&mut self) {
        for (tag, _) in core::mem::take(&mut self.marks) {
            tag.0.set_mark(None);
        }
        self.by_token.clear();
        while self.free_slice() {}
        self.floor.reset();
        self.floor_at = UnixMs::EPOCH;
        self.floor_since = Since::default();
        self.floor_cap = None;
        self.forgot_at = UnixMs::EPOCH;
        self.floor_is_news = false;
        self.has_caps = false;
    }

    /// FLUSHALL: every mark is forgotten, in slices by [`Tags::free_slice`], and the floor raised to its moment.
    pub fn flush(&mut self, token: Token, at: UnixMs) {
        let cap = core::mem::take(&mut self.has_caps).then_some((token, at));
        self.cover(token, at, cap);
        let youngest = self.by_token.last().and_then(|(_, tag)| self.marks.get(tag));
        self.forgot_at = self.forgot_at.max(youngest.map_or(UnixMs::EPOCH, |mark| mark.at));
        self.floor_is_news = true;
        self.forgotten.push((core::mem::take(&mut self.marks), core::mem::take(&mut self.by_token)));
    }

    /// A data set was loaded: what was settled when it was written out is, and leases from before it are void for
    /// tagged fills.
    pub fn loaded(&mut self, last: Option<Token>) {
        self.fills_floor = self.fills_floor.max(last.map_or(0, Token::get));
    }

    /// From which token on marks count for a rebuild: its grant's, or that of a minute before if another node granted it, by
    /// another clock.
    pub const fn counted_from(token: Token, has_arrived: bool) -> u64 {
        token.get().saturating_sub(if has_arrived { ARRIVAL_MS * 1_000 } else { 0 })
    }

    /// Whether a fill with these tags is void, for which marks count from `since` on.
    pub fn voids(&self, since: u64, tags: &[&[u8]]) -> bool {
        let mark_of = |name: &&[u8]| self.marks.get(*name).map(|mark| mark.token);
        !tags.is_empty() && self.any_voids(since, tags.iter().filter_map(mark_of).max())
    }

    /// The same of the tags that an entry keeps.
    pub fn voids_kept(&self, since: u64, tagged: &Tagged) -> bool {
        self.any_voids(since, tagged.tags.iter().filter_map(|tag| tag.mark()).max())
    }

    fn any_voids(&self, since: u64, youngest: Option<Token>) -> bool {
        since <= self.fills_floor || since <= self.floor.get() || youngest.is_some_and(|mark| since <= mark.get())
    }

    /// What the marks say of an entry; `None` if it is as it was.
    pub fn judge(&self, tagged: &Tagged) -> Option<Judgement> {
        self.judge_as(tagged, None)
    }

    /// What they say of an entry that arrives from elsewhere.
    pub fn judge_arrival(&self, tagged: &Tagged, now: UnixMs) -> Option<Judgement> {
        self.judge_as(tagged, Some(now))
    }

    fn judge_as(&self, tagged: &Tagged, arrives: Option<UnixMs>) -> Option<Judgement> {
        let counts =
            |mark: Token, at: UnixMs| mark >= tagged.birth || arrives.is_some_and(|now| now <= at.plus(ARRIVAL_MS));
        let mut judgement: Option<Judgement> = None;
        let mut add = |mark: Token, since: UnixMs, served_until: UnixMs| {
            let so_far = judgement.get_or_insert(Judgement { mark, since, served_until });
            so_far.mark = so_far.mark.max(mark);
            so_far.since = so_far.since.min(since);
            so_far.served_until = so_far.served_until.min(served_until);
        };
        if let Some(floor) = Token::new(self.floor.get()).filter(|floor| counts(*floor, self.forgot_at)) {
            let cap = self.floor_cap.filter(|(token, _)| tagged.birth <= *token);
            let since = self.floor_since.of(tagged.birth).unwrap_or(self.floor_at);
            add(floor, since, cap.map_or(UnixMs::NEVER, |(_, until)| until));
        }
        for tag in &tagged.tags {
            if let Some(mark) = self.marks.get(tag.name()).filter(|mark| counts(mark.token, mark.at)) {
                add(mark.token, mark.stale_since(tagged.birth), mark.served_until(tagged.birth));
            }
        }
        judgement
    }

    /// The mark of a tag as CACHE.TAGS tells it: its moment; the floor's where none is known.
    pub fn moment(&self, name: &[u8]) -> UnixMs {
        self.marks.get(name).map_or(self.floor_at, |mark| mark.at)
    }

    /// Marks in the order they were set, `count` from the one after `after` on: to be kept in a file.
    pub fn slice(&self, after: Option<&(Token, ByName)>, count: usize) -> Vec<(Token, ByName)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_token.range((from, Bound::Unbounded)).take(count).cloned().collect()
    }

    /// One mark's moment, and until when old values serve after it at most.
    pub fn mark_of(&self, tag: &ByName) -> Option<(UnixMs, UnixMs)> {
        self.marks.get(tag).map(|mark| (mark.at, mark.served_until(mark.token)))
    }

    /// Looks at one name, and forgets it if nothing has it.
    fn sweep(&mut self) {
        let next = match self.sweep_from.take() {
            Some(tag) => {
                let after = (Bound::Excluded(ByName(tag)), Bound::Unbounded);
                self.names.range(after).next().or_else(|| self.names.first()).cloned()
            }
            None => self.names.first().cloned(),
        };
        let Some(tag) = next else { return };
        // The set's own, and this one: a third would be an entry's or a mark's.
        if Arc::strong_count(&tag.0) <= 2 {
            self.names.remove(&tag);
        }
        self.sweep_from = Some(tag.0);
    }

    /// Whether there are more marks than `kept`.
    pub fn is_beyond(&self, kept: u64) -> bool {
        self.marks.len() as u64 > kept
    }

    pub fn has_garbage(&self) -> bool {
        !self.forgotten.is_empty() || self.has_covered()
    }

    /// Frees what a flush has left and what the floor has risen over, in slices. Whether there is more.
    pub fn free_slice(&mut self) -> bool {
        self.forget_covered(AT_ONCE);
        let Some((marks, by_token)) = self.forgotten.last_mut() else { return self.has_garbage() };
        for _ in 0..4 * AT_ONCE {
            if let Some((tag, _)) = marks.pop_first() {
                // Marked anew since the flush: that mark stays.
                if !self.marks.contains_key(&tag) {
                    tag.0.set_mark(None);
                }
            } else if by_token.pop_first().is_none() {
                self.forgotten.pop();
                break;
            }
        }
        self.has_garbage()
    }
}
