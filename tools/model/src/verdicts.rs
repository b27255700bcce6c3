//! What holders say, and what must come of it.

use corral_core::freshness::{Freshness, SoftDeadline};
use corral_core::node::{Caller, Reply};
use corral_core::request::Labels;
use corral_core::time::UnixMs;

use crate::book::{Book, Build, Built, Circuit, Parked, Rule};
use crate::run::{self, Labelled, Timer, Version};
use crate::search::Situation;
use crate::world::{Client, Does, Holds, World, FULL};

/// A value is its number.
pub(crate) fn bytes_of(value: u64) -> [u8; 8] {
    value.to_le_bytes()
}

pub(crate) fn number_of(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

impl World {
    /// The rebuild of a holder, which is idle from now on.
    fn done(&mut self, client: usize) -> Option<Build> {
        let of = self.clients.get_mut(client)?;
        let Does::Builds(token) = of.does else { return None };
        of.does = Does::Nothing;
        self.book.build(token).cloned()
    }

    fn labels(&self, build: &Build, of: &Labelled) -> Labels<'static> {
        let soft = match of.fresh_ms {
            None => SoftDeadline::Never,
            Some(0) => SoftDeadline::At(UnixMs::new(1)),
            Some(ms) => SoftDeadline::In(ms),
        };
        let freshness = Freshness { soft, swr_ms: Some(of.swr_ms), sie_ms: Some(of.sie_ms), jitter_percent: Some(0) };
        let tags = of.tags.iter().filter_map(|tag| run::TAGS.get(*tag).copied()).collect::<Vec<_>>();
        let tags = (!tags.is_empty()).then_some(tags);
        Labels { freshness, tags, version: version_of(build, of), only_if_absent: false }
    }

    pub(crate) fn new_value(&mut self, built: Built) -> u64 {
        self.book.last_value += 1;
        self.book.values.insert(self.book.last_value, built);
        self.book.last_value
    }

    pub(crate) fn fill(&mut self, client: usize, value: usize) {
        let Some(of) = self.run.values.get(value).copied() else { return };
        let Some(build) = self.done(client) else { return };
        let labels = self.labels(&build, &of);
        let version = labels.version;
        let value = self.new_value(Built { key: build.key, began: build.began, tags: of.tags, version });
        let now_ms = self.wall_ms;
        let joined: Vec<(u64, Parked)> = self.parked().map(|(id, parked)| (id, parked.clone())).collect();
        let failures = self.entry(build.key).map_or(0, |entry| entry.failures_in_a_row());
        // Before the call: who is granted by it comes after. Those it is for have their answer.
        self.spoken(&build, true, false);
        self.keep_those_it_is_for(&build, version, &joined);
        // With a late timer, who joined it may wait on behind its deadline: the fill still comes first.
        self.knows_the_order &= self.run.timer == Timer::Prompt || !build.is_late;
        let called = self.call(build.key, |node, key| node.fill(key, build.token, &bytes_of(value), &labels));
        self.knows_the_order = self.run.knows_the_order();
        let was_known = self.book.keys.get(build.key).and_then(|known| known.value);
        let kept_version = was_known.and_then(|kept| self.book.values.get(&kept)).and_then(|kept| kept.version);
        let known = self.book.keys.get(build.key).cloned().unwrap_or_default();
        let floor = (now_ms < known.floor_until_ms).then_some(known.floor).filter(|_| known.floor_at > 0);
        let is_behind = floor.is_some_and(|floor| version.is_none_or(|version| version < floor))
            || matches!((version, kept_version), (Some(version), Some(kept)) if version < kept);
        // Marks of before its grant count, too, and are not in the book.
        let is_known = |tag: &usize| run::TAGS.get(*tag).is_some_and(|name| self.node.tag_moment(name) > 0);
        let may_be_marked = build.has_arrived && of.tags.iter().any(is_known);
        let is_marked = self.book.marks.iter().any(|at| *at > build.began);
        let is_stored = called.reply == Reply::Ok;
        let is_kept = now_ms < build.deadline_ms + build.length_ms;
        let is_taken = self.writes == 0 && self.holds_entry(build.key);
        let must_land = build.is_current && is_kept && !is_marked && !may_be_marked && !is_behind && is_taken;
        self.broken.note(Rule::NothingIsStoredWhileWritesAreRefused, is_stored && self.writes != 0);
        self.broken.note(Rule::TheCurrentTokenIsHonoured, must_land && !is_stored);
        self.broken.note(Rule::NothingStoredUnderAnOldToken, is_stored && !build.is_current);
        let is_invalid = of.tags.iter().any(|tag| self.book.marked.get(*tag).is_some_and(|at| *at > build.began));
        self.broken.note(Rule::AnOvertakenRebuildIsNeverStored, is_stored && is_invalid);
        let is_forgotten = |at: &u64| *at > build.began && self.is_forgotten(*at);
        let is_invalid_by_forgotten = of.tags.iter().filter_map(|tag| self.book.marked.get(*tag)).any(is_forgotten);
        self.broken.note(Rule::ForgettingOnlyInvalidatesMore, is_stored && is_invalid_by_forgotten);
        self.broken.note(Rule::ServedVersionsNeverGoBack, is_stored && is_behind);
        self.seen.note(Situation::ALateFillIsStored, is_stored && build.deadline_ms <= now_ms);
        self.seen.note(Situation::AFillOvertakenByAMarkIsVoid, !is_stored && is_invalid);
        self.seen.note(Situation::ABehindFillIsVoid, !is_stored && build.is_current && is_behind);
        if is_stored {
            if let Some(known) = self.book.keys.get_mut(build.key) {
                (known.value, known.unknown_until_ms) = (Some(value), 0);
            }
        }
        let may_read = of.version == Version::Primary && build.source >= build.known;
        let has_failed = self.entry(build.key).is_some_and(|entry| entry.failures_in_a_row() > failures);
        let is_failure = build.is_current && !is_stored && may_read && kept_version.is_none() && has_failed;
        self.broken.note(Rule::ASourceThatMovedOnIsNoFailure, is_failure);
        if self.run.timer == Timer::Prompt {
            self.settle();
        }
        self.release_all();
        self.check_woken(&build, of.version, is_stored, is_marked || is_behind, &joined);
    }

    /// Who asked before every mark since the grant, and when the source was known to have no more.
    fn keep_those_it_is_for(&mut self, build: &Build, version: Option<u64>, joined: &[(u64, Parked)]) {
        let marks: Vec<u64> = self.book.marks.iter().copied().filter(|at| *at > build.began).collect();
        for (id, was) in joined.iter().filter(|(_, was)| was.joined == Some(build.token)) {
            let is_marked = marks.iter().any(|at| *at < was.asked);
            let is_behind = was.known > 0 && version.is_none_or(|version| version < was.known);
            let waits = self.clients.iter_mut().find(|client| client.id == *id).map(|client| &mut client.does);
            if let (Some(Does::Waits(_, parked)), false) = (waits, is_marked || is_behind) {
                parked.joined = Some(build.token);
            }
        }
    }

    /// Its key has the lease, or it was voided and its time is not over: what its holder says is of its group.
    fn is_known(&self, build: &Build) -> bool {
        let lease = self.entry(build.key).and_then(|entry| entry.lease());
        lease.is_some_and(|lease| lease.token == build.token) || self.wall_ms < build.deadline_ms
    }

    fn holds_entry(&self, key: usize) -> bool {
        !matches!(self.keys.get(key).map(|slot| &slot.held), Some(Holds::Text | Holds::Foreign))
    }

    /// A fill answers those it is for, and nobody waits for a third.
    fn check_woken(
        &mut self,
        build: &Build,
        version: Version,
        is_stored: bool,
        is_sifted: bool,
        before: &[(u64, Parked)],
    ) {
        if self.is_paused || self.run.is_paced {
            return;
        }
        let next = self.book.live(build.key, self.wall_ms).map(|build| build.token);
        for (id, was) in before.iter().filter(|(_, was)| was.key == build.key) {
            let still = self.clients.iter_mut().find_map(|client| match &mut client.does {
                Does::Waits(_, parked) if client.id == *id && parked.asked == was.asked => Some(parked),
                _ => None,
            });
            let Some(still) = still else { continue };
            let is_for = is_stored || (was.joined == Some(build.token) && !is_sifted);
            if was.joined == Some(build.token) {
                self.seen.note(Situation::AWaiterIsDecidedAgain, true);
                // Nothing can be promised of a source that lags, or that does not say how new it is where that counts.
                still.fills += u32::from(version == Version::Primary || was.known == 0 && build.known == 0);
            }
            let fills = still.fills;
            if still.joined == Some(build.token) {
                // It should have had its answer, and waits for whatever comes next.
                still.joined = next;
            }
            self.broken.note(Rule::NobodyWaitsForAThirdBuild, fills > 1);
            self.broken.note(Rule::OneAnswerWakesThoseItIsFor, is_for);
        }
    }

    /// A holder has spoken, in vain or not. `answers`: whoever waits for it has its answer by that.
    pub(crate) fn spoken(&mut self, build: &Build, is_success: bool, answers: bool) {
        let token = build.token;
        // What was taken over is known to nobody any more, unless it was a trial.
        if is_success {
            let is_known = self.is_known(build);
            let last = match self.book.groups.get(build.group).map(|group| group.circuit) {
                Some(Circuit::Open { last, .. } | Circuit::Trying { last, .. }) => last,
                _ => None,
            };
            if is_known || last == Some(token) {
                self.book.succeeded(build.group, token);
            }
        }
        if let Some(build) = self.book.build_mut(token) {
            (build.is_over, build.is_current) = (true, false);
        }
        if !answers {
            self.leave(token);
        }
        if build.is_current {
            if let Some(known) = self.book.keys.get_mut(build.key) {
                known.unknown_until_ms = 0;
            }
        }
    }

    pub(crate) fn fill_refused(&mut self, client: usize) {
        let Some(of) = self.run.values.first().copied() else { return };
        let Some(build) = self.done(client) else { return };
        let labels = self.labels(&build, &of);
        let value =
            self.new_value(Built { key: build.key, began: build.began, tags: of.tags, version: labels.version });
        let kept = self.book.keys.get(build.key).and_then(|known| known.value);
        let before = (self.book.clone(), self.clients.clone());
        self.spoken(&build, true, build.is_current);
        let writes = std::mem::replace(&mut self.writes, FULL);
        self.call(build.key, |node, key| node.fill(key, build.token, &bytes_of(value), &labels));
        self.writes = writes;
        let is_kept = self.entry(build.key).and_then(|entry| entry.lease()).is_some_and(|of| of.token == build.token);
        let now_value = self.entry(build.key).and_then(|entry| entry.value()).and_then(|bytes| number_of(bytes));
        self.broken.note(Rule::NothingStoredUnderAnOldToken, now_value.is_some() && now_value != kept);
        if is_kept {
            // With ONCE, so that the fill can be tried again.
            self.broken.note(Rule::TheCurrentTokenIsHonoured, build.once_ms.is_none());
            self.take_back(before, client, &build);
            self.book.succeeded(build.group, build.token);
        }
    }

    pub(crate) fn touch(&mut self, client: usize) {
        let Some(of) = self.run.values.first().copied() else { return };
        let Some(build) = self.done(client) else { return };
        let labels = self.labels(&build, &Labelled { tags: &[], ..of });
        let had = self.book.keys.get(build.key).and_then(|known| known.value);
        let before = (self.book.clone(), self.clients.clone());
        let joined: Vec<(u64, Parked)> = self.parked().map(|(id, parked)| (id, parked.clone())).collect();
        self.spoken(&build, true, false);
        if build.is_current {
            self.keep_those_it_is_for(&build, labels.version, &joined);
        }
        let called = self.call(build.key, |node, key| node.touch(key, build.token, &labels));
        let is_kept = self.entry(build.key).and_then(|entry| entry.lease()).is_some_and(|of| of.token == build.token);
        let is_done = called.reply == Reply::Ok;
        self.broken.note(Rule::NothingStoredUnderAnOldToken, is_done && !build.is_current);
        if let Some(built) = had.filter(|_| is_done).and_then(|value| self.book.values.get_mut(&value)) {
            let began = built.began;
            let is_overtaken =
                built.tags.iter().any(|tag| self.book.marked.get(*tag).is_some_and(|at| *at > build.began));
            built.began = built.began.max(build.began);
            built.version = labels.version.or(built.version);
            self.broken.note(Rule::AnOvertakenRebuildIsNeverStored, is_overtaken && began < build.began);
        }
        if let (Reply::Error(_), true, Some(value)) = (&called.reply, build.is_current, had) {
            // Nothing is written, and who waits has the value all the same: it is as new as this rebuild.
            let told = self.book.values.get(&value).cloned();
            if let Some(built) = self.book.values.get_mut(&value) {
                built.began = built.began.max(build.began);
            }
            self.release_all();
            self.book.values.extend(told.map(|told| (value, told)));
        }
        if is_kept {
            self.take_back(before, client, &build);
        }
    }

    /// It was no word after all: the lease stays, and nobody was granted one.
    fn take_back(&mut self, before: (Book, Vec<Client>), client: usize, build: &Build) {
        (self.book, self.clients) = before;
        if let Some(of) = self.clients.get_mut(client) {
            of.does = Does::Builds(build.token);
        }
    }

    pub(crate) fn fail(&mut self, client: usize) {
        let Some(build) = self.done(client) else { return };
        let now_ms = self.wall_ms;
        if self.is_known(&build) {
            self.book.failed(build.group, build.token, now_ms);
        }
        self.spoken(&build, false, build.is_current);
        self.call(build.key, |node, key| node.fail(key, build.token, b"down", None));
    }

    pub(crate) fn pass(&mut self, client: usize) {
        let Some(build) = self.done(client) else { return };
        self.spoken(&build, true, build.is_current);
        let called = self.call(build.key, |node, key| node.pass(key, build.token, None));
        if let (Reply::Ok, Some(known)) = (&called.reply, self.book.keys.get_mut(build.key)) {
            known.value = None;
        }
    }

    pub(crate) fn renew(&mut self, client: usize) {
        let Some(Does::Builds(token)) = self.clients.get(client).map(|client| client.does.clone()) else { return };
        let Some(build) = self.book.build(token).cloned() else { return };
        let id = self.clients.get(client).map_or(0, |client| client.id);
        let called =
            self.call(build.key, |node, key| node.renew(key, token, run::RENEW_MS, Caller { client: id }, false));
        if let Reply::Number(ms @ 1..) = called.reply {
            let deadline_ms = self.wall_ms + ms;
            self.seen.note(Situation::WaitersWaitForARenewal, self.parked().any(|(_, of)| of.joined == Some(token)));
            if let Some(build) = self.book.build_mut(token) {
                build.deadline_ms = deadline_ms;
                build.is_late = false;
            }
            self.join(build.key, token);
        }
    }

    pub(crate) fn release(&mut self, client: usize) {
        let Some(build) = self.done(client) else { return };
        let is_late = build.is_late || self.wall_ms >= build.deadline_ms;
        self.book.end_without_verdict(build.group, build.token);
        self.spoken(&build, false, false);
        let called = self.call(build.key, |node, key| node.release(key, build.token));
        let is_honoured = called.reply == Reply::Number(1);
        let must =
            self.writes == 0 && build.is_current && !is_late && self.book.marks.iter().all(|at| *at < build.began);
        self.broken.note(Rule::TheCurrentTokenIsHonoured, must && !is_honoured);
        self.broken.note(Rule::TheLongestWaitingIsPromoted, called.grants.len() > 1);
    }
}

fn version_of(build: &Build, of: &Labelled) -> Option<u64> {
    match of.version {
        Version::Unsaid => None,
        Version::Primary => Some(build.source),
        Version::Lagging => Some(build.source.saturating_sub(1)),
    }
}
