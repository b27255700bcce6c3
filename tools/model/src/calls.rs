//! What holders and others say, and what each answer must be.

use corral_core::answer::{Answer, State};
use corral_core::codec::{self, ValuePart};
use corral_core::decision::OUTCOME_UNKNOWN;
use corral_core::freshness::{Freshness, SoftDeadline};
use corral_core::node::event::Event;
use corral_core::node::loading::{LoadedFrom, LoadedLease};
use corral_core::node::name::Name;
use corral_core::node::{Caller, Reply};
use corral_core::request::Labels;
use corral_core::time::UnixMs;
use corral_core::token::Token;

use crate::book::{Book, Build, Built, Circuit, Parked, Rule, GROUPS};
use crate::run::{self, Labelled, Timer, Version};
use crate::search::Situation;
use crate::world::{Client, Does, Dumped, Holds, Slot, World, FULL, REFUSED};

/// A value is its number.
fn bytes_of(value: u64) -> [u8; 8] {
    value.to_le_bytes()
}

fn number_of(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

impl World {
    /// Somebody has an answer. The token, if it is granted the lease.
    pub(crate) fn answered(&mut self, client: u64, asker: &Parked, answer: &Answer, waited: bool) -> Option<Token> {
        match answer.state() {
            State::Hit => self.served_fresh(asker, answer),
            State::Wait if waited => self.kept_place(client, asker),
            _ => {}
        }
        self.seen.note(Situation::AWaiterGivesUp, waited && answer.state() == State::Wait);
        self.seen.note(Situation::AFillAnswersWaiters, waited && answer.state() == State::Hit);
        let no_stale = self.run.ways.get(asker.way).is_some_and(|way| way.no_stale);
        let is_old = matches!(answer.state(), State::Stale | State::Refresh)
            && !self.entry(asker.key).is_some_and(|entry| entry.is_fresh(UnixMs::new(self.wall_ms)));
        self.broken.note(Rule::WhoSaidNostaleGetsNoOldValue, no_stale && is_old);
        if let Answer::Fail { message, .. } = answer {
            self.failed(asker, message);
        }
        let token = answer.granted()?;
        self.granted(client, asker, token, waited);
        Some(token)
    }

    /// Nobody is told that an outcome is unknown, or a circuit open, which is not so.
    fn failed(&mut self, asker: &Parked, message: &[u8]) {
        let known = self.book.keys.get(asker.key).cloned().unwrap_or_default();
        let is_known = message == OUTCOME_UNKNOWN && known.unknown_until_ms <= self.wall_ms;
        let circuit = self.book.groups.get(self.group_of(asker.way).0).map(|group| group.circuit);
        let is_closed = match circuit {
            Some(Circuit::Open { until_ms, .. }) => until_ms <= self.wall_ms,
            Some(Circuit::Trying { trial, .. }) => trial.is_none(),
            _ => true,
        };
        let is_unfounded = message.starts_with(b"circuit open") && is_closed;
        // A late timer comes to what has ended later than the book does.
        let is_prompt = self.run.timer == Timer::Prompt;
        self.broken.note(Rule::NobodyIsRefusedWithoutReason, is_prompt && (is_known || is_unfounded));
    }

    fn served_fresh(&mut self, asker: &Parked, answer: &Answer) {
        let Some(built) = answer.payload().and_then(number_of).and_then(|value| self.book.values.get(&value)) else {
            return;
        };
        let known = self.book.keys.get(asker.key).cloned().unwrap_or_default();
        let is_overtaken = |at: u64| built.began < at && at < asker.asked;
        let marks = || built.tags.iter().filter_map(|tag| self.book.marked.get(*tag)).filter(|at| is_overtaken(**at));
        let (is_marked, is_forgotten) = (marks().next().is_some(), marks().any(|at| self.is_forgotten(*at)));
        self.broken.note(Rule::AnInvalidatedValueIsNeverFresh, is_overtaken(known.invalidated) || is_marked);
        self.broken.note(Rule::ForgettingOnlyInvalidatesMore, is_forgotten);
        let asked_after = known.floor_at > 0 && known.floor_at < asker.asked && self.wall_ms < known.floor_until_ms;
        let is_behind = built.version.is_none_or(|version| version < known.floor);
        self.broken.note(Rule::ServedVersionsNeverGoBack, asked_after && is_behind);
    }

    /// A mark that the node has no room for any more: another came after it.
    fn is_forgotten(&self, mark: u64) -> bool {
        self.run.max_tags < 2 && self.book.marked.iter().any(|at| *at > mark)
    }

    /// Whose BLOCK ran out in a queue may come back to its place for a second.
    fn kept_place(&mut self, client: u64, asker: &Parked) {
        // A limit goes before a deadline of the same moment: then it waited for a lease to the last.
        if asker.joined.is_none() && asker.left_ms != self.steady_ms {
            let until_ms = self.steady_ms + 1000;
            self.book.places.insert(client, (asker.key, asker.place, until_ms));
        }
    }

    /// The number of a way's group, and its limit.
    pub(crate) fn group_of(&self, way: usize) -> (usize, u64) {
        let name = self.run.ways.get(way).and_then(|way| way.group);
        let number = GROUPS.iter().position(|group| *group == name).unwrap_or(0);
        (number, self.book.groups.get(number).map_or(0, |group| group.max))
    }

    fn granted(&mut self, client: u64, asker: &Parked, token: Token, waited: bool) {
        let now_ms = self.wall_ms;
        let Some(way) = self.run.ways.get(asker.way).copied() else { return };
        let (group, max) = self.group_of(asker.way);
        self.broken.note(Rule::AtMostOneLiveLeasePerKey, self.book.live(asker.key, now_ms).is_some());
        self.broken.note(Rule::NobodyIsGrantedWhileWritesAreRefused, self.writes == REFUSED);
        self.check_kept(asker, group, max);
        self.broken.note(Rule::TokensOnlyGrow, token.get() <= self.book.largest);
        self.broken.note(Rule::PermitsNeverExceedTheLimit, max > 0 && self.book.permits(group, now_ms) >= max);
        let known = self.book.keys.get(asker.key).cloned().unwrap_or_default();
        self.broken.note(Rule::AnUnknownOutcomeIsNeverRunAgain, now_ms < known.unknown_until_ms);
        self.check_order(asker, group, max);
        self.check_circuit(group, token);
        let lease = self.entry(asker.key).and_then(|entry| entry.lease()).filter(|lease| lease.token == token);
        let deadline = lease.and_then(|lease| lease.deadline.get());
        let is_as_asked = lease.is_none_or(|lease| {
            lease.is_tied == way.tied
                && u64::from(lease.length_ms) == way.lease_ms
                && deadline == Some(now_ms + way.lease_ms)
                && lease.once_ms() == way.once_ms
        });
        self.broken.note(Rule::ALeaseHasItsFullLength, !is_as_asked);
        self.seen.note(Situation::AWaiterIsPromoted, waited);
        self.seen.note(Situation::AQueueHasItsTurn, waited && max > 0 && asker.joined.is_none());
        for build in self.book.builds.iter_mut().filter(|build| build.key == asker.key) {
            build.is_current = false;
        }
        self.book.largest = self.book.largest.max(token.get());
        self.book.builds.push(Build {
            token,
            key: asker.key,
            group,
            client,
            began: self.book.now,
            deadline_ms: now_ms + way.lease_ms,
            length_ms: way.lease_ms,
            is_tied: way.tied,
            once_ms: way.once_ms,
            is_current: true,
            is_over: false,
            is_late: false,
            voided: 0,
            source: known.source,
            known: if now_ms < known.floor_until_ms { known.floor } else { 0 },
        });
        self.join(asker.key, token);
    }

    /// Who waits for nothing else waits for this lease of the key.
    fn join(&mut self, key: usize, token: Token) {
        let waiting = self.clients.iter_mut().filter_map(|client| match &mut client.does {
            Does::Waits(_, parked) => Some(parked),
            _ => None,
        });
        for parked in waiting.chain(self.book.listening.values_mut()) {
            if parked.key == key && parked.joined.is_none() {
                parked.joined = Some(token);
            }
        }
    }

    /// A permit that is kept for who listened is nobody else's, and goes with the first ask of its key that is granted.
    fn check_kept(&mut self, asker: &Parked, group: usize, max: u64) {
        let steady_ms = self.steady_ms;
        self.book.kept.retain(|(key, _, until_ms)| *key != asker.key && steady_ms < *until_ms);
        let kept = self.book.kept.iter().filter(|(_, of, _)| *of == group).count() as u64;
        let is_taken = max > 0 && kept > 0 && self.book.permits(group, self.wall_ms) + kept >= max;
        self.broken.note(Rule::AListenersPermitIsKept, is_taken);
    }

    /// Nobody who asked earlier, and would be granted now, is passed over.
    fn check_order(&mut self, asker: &Parked, group: usize, max: u64) {
        let class = |way: usize| self.run.ways.get(way).map(|way| (way.no_stale, way.force, way.early));
        let is_alike = |way: usize| class(way) == class(asker.way);
        let mut is_passed_over = (false, false);
        for (_, other) in self.parked() {
            if other.joined.is_some() || other.place >= asker.place {
                continue;
            }
            let is_same_key = other.key == asker.key;
            if max == 0 {
                is_passed_over.0 |= is_same_key && is_alike(other.way) && self.group_of(other.way).1 == 0;
            } else if self.group_of(other.way).0 == group && !self.has_passed(other) {
                is_passed_over.1 |= is_same_key || self.could_be_granted(other);
            }
        }
        self.broken.note(Rule::TheLongestWaitingIsPromoted, is_passed_over.0 && self.knows_the_order);
        let is_exact = self.knows_the_order;
        self.broken.note(Rule::WhoAskedFirstInTheGroupIsNext, is_passed_over.1 && is_exact);
    }

    fn has_passed(&self, parked: &Parked) -> bool {
        parked.gives_up_ms.is_some_and(|at| at <= self.steady_ms)
    }

    /// Nothing about the key itself keeps anybody from being granted.
    pub(crate) fn could_be_granted(&self, parked: &Parked) -> bool {
        let key = parked.key;
        let no_stale = self.run.ways.get(parked.way).is_some_and(|way| way.no_stale);
        let now = UnixMs::new(self.wall_ms);
        let is_free = match self.keys.get(key).map(|slot| &slot.held) {
            Some(Holds::Nothing) | None => true,
            Some(Holds::Entry(entry)) => {
                entry.backing_off(now).is_none()
                    && entry.passing(now).is_none()
                    && !(if no_stale { entry.is_fresh(now) } else { entry.is_servable(now) })
            }
            Some(Holds::Text | Holds::Foreign) => false,
        };
        let unknown = self.book.keys.get(key).is_some_and(|known| self.wall_ms < known.unknown_until_ms);
        is_free && !unknown && self.book.live(key, self.wall_ms).is_none()
    }

    fn check_circuit(&mut self, group: usize, token: Token) {
        let now_ms = self.wall_ms;
        let Some(of) = self.book.groups.get_mut(group) else { return };
        let is_open = match of.circuit {
            Circuit::Closed { .. } => false,
            Circuit::Open { until_ms, .. } => now_ms < until_ms,
            Circuit::Trying { trial, .. } => trial.is_some(),
        };
        if let Circuit::Open { cool_ms, .. } | Circuit::Trying { cool_ms, .. } = of.circuit {
            of.circuit = Circuit::Trying { trial: Some(token), last: Some(token), cool_ms };
        }
        self.broken.note(Rule::AnOpenCircuitGrantsNobody, is_open);
        let is_trial = matches!(of.circuit, Circuit::Trying { .. });
        self.seen.note(Situation::ACircuitIsTried, is_trial);
    }

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

    fn new_value(&mut self, built: Built) -> u64 {
        self.book.last_value += 1;
        self.book.values.insert(self.book.last_value, built);
        self.book.last_value
    }

    pub(crate) fn fill(&mut self, client: usize, value: usize) {
        let Some(of) = self.run.values.get(value).copied() else { return };
        let Some(build) = self.done(client) else { return };
        let labels = self.labels(&build, &of);
        let version = labels.version;
        let value = self.new_value(Built { began: build.began, tags: of.tags, version });
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
        let is_marked = self.book.marks.iter().any(|at| *at > build.began);
        let is_stored = called.reply == Reply::Ok;
        let is_kept = now_ms < build.deadline_ms + build.length_ms;
        let is_taken = self.writes == 0 && self.holds_entry(build.key);
        let must_land = build.is_current && is_kept && !is_marked && !is_behind && is_taken;
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
        let value = self.new_value(Built { began: build.began, tags: of.tags, version: labels.version });
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
        let must = self.writes != REFUSED
            && build.is_current
            && !is_late
            && self.book.marks.iter().all(|at| *at < build.began);
        self.broken.note(Rule::TheCurrentTokenIsHonoured, must && !is_honoured);
        self.broken.note(Rule::TheLongestWaitingIsPromoted, called.grants.len() > 1);
    }

    pub(crate) fn set(&mut self, key: usize) {
        let Some(of) = self.run.values.first().copied() else { return };
        let value = self.new_value(Built { began: self.book.now, tags: of.tags, version: None });
        let freshness = Freshness {
            soft: SoftDeadline::In(1),
            swr_ms: Some(of.swr_ms),
            sie_ms: Some(of.sie_ms),
            jitter_percent: Some(0),
        };
        let tags = of.tags.iter().filter_map(|tag| run::TAGS.get(*tag).copied()).collect::<Vec<_>>();
        let labels = Labels { freshness, tags: Some(tags), version: None, only_if_absent: false };
        self.book.void(key, None);
        let called = self.call(key, |node, key| node.set(key, &bytes_of(value), &labels));
        if called.reply == Reply::Ok {
            if let Some(known) = self.book.keys.get_mut(key) {
                (known.value, known.unknown_until_ms) = (Some(value), 0);
            }
        }
    }

    pub(crate) fn invalidate(&mut self, key: usize) {
        let now_ms = self.wall_ms;
        if self.writes == REFUSED {
            // It is told so, and nothing changes.
            self.call(key, |node, key| node.invalidate(key));
            return;
        }
        let is_live = self.book.live(key, now_ms).is_some();
        if !is_live {
            if let Some(known) = self.book.keys.get_mut(key) {
                known.unknown_until_ms = 0;
            }
        }
        // Before the call: who is granted by it comes after.
        self.book.void(key, is_live.then_some(now_ms));
        self.call(key, |node, key| node.invalidate(key));
        let now = self.book.now;
        if let Some(known) = self.book.keys.get_mut(key) {
            known.invalidated = now;
        }
    }

    pub(crate) fn outdate(&mut self, key: usize) {
        let (now, now_ms) = (self.book.now, self.wall_ms);
        let Some(version) = self.book.keys.get_mut(key).map(|known| {
            known.source += 1;
            known.source
        }) else {
            return;
        };
        let called = self.call(key, |node, key| node.outdate(key, version, None));
        if let (Reply::Number(floor), Some(known)) = (called.reply, self.book.keys.get_mut(key)) {
            (known.floor, known.floor_at, known.floor_until_ms) = (floor, now, now_ms + run::FLOOR_MS);
        }
    }

    pub(crate) fn mark(&mut self, tag: usize) {
        let Some(name) = run::TAGS.get(tag) else { return };
        let moment = self.moment();
        let Some(record) = self.node.invalidate_tags(&[name], None, moment) else { return };
        if let Some(replica) = &mut self.replica {
            replica.sent_marks(&record);
        }
        let (now, now_ms) = (self.book.now, self.wall_ms);
        if let Some(at) = self.book.marked.get_mut(tag) {
            *at = now;
        }
        self.book.marks.push(now);
        for key in 0..self.keys.len() {
            // Whose kept value has the tag. With few marks kept, any tag may count as marked.
            let is_tagged = self
                .entry(key)
                .and_then(|entry| entry.tagged())
                .is_some_and(|tagged| tagged.tags.iter().any(|of| of.name() == *name) || self.run.max_tags < 2);
            if is_tagged {
                // Its lease is void when it is next looked at, as from now.
                let is_live = self.book.live(key, now_ms).is_some();
                self.book.void(key, is_live.then_some(now_ms));
            }
        }
        self.seen.note(Situation::AMarkComesDuringARebuild, !self.book.builds.is_empty());
    }

    /// Something else is in the key, or nothing: its lease went with it.
    pub(crate) fn overwrite(&mut self, key: usize, holds: Holds) {
        self.unlink(key, holds);
        self.key_gone(key);
    }

    fn key_gone(&mut self, key: usize) {
        let now = self.book.now;
        self.book.void(key, None);
        if let Some(known) = self.book.keys.get_mut(key) {
            (known.value, known.unknown_until_ms, known.floor_at) = (None, 0, 0);
            known.invalidated = now;
        }
    }

    /// DUMP: the entry as it is written out.
    pub(crate) fn dump(&mut self, key: usize) {
        let Some(entry) = self.entry(key) else { return };
        let seen = self.node.seen(0, entry);
        let (expires, known) = match (self.keys.get(key), self.book.keys.get(key)) {
            (Some(slot), Some(known)) => (slot.expires, known.clone()),
            _ => return,
        };
        self.dumped = Some(Dumped { key, slot: Slot { held: Holds::Entry(Box::new(seen)), expires }, known });
    }

    /// RESTORE REPLACE of what was dumped last: what was there is void, the payload's own live lease takes its place.
    pub(crate) fn restore(&mut self) {
        let Some(Dumped { key, slot, known }) = self.dumped.clone() else { return };
        let Holds::Entry(entry) = &slot.held else { return };
        self.overwrite(key, Holds::Nothing);
        let part = if entry.value().is_some() { ValuePart::Carried } else { ValuePart::Absent };
        let Ok(header) = codec::decode(&codec::encode(entry, part, None)) else { return };
        let youngest = header.youngest_token();
        let mut entry = header.into_entry(entry.value().cloned(), self.node.tags());
        let moment = self.moment();
        self.node.judge_arrival(&mut entry, moment.now());
        let lease = entry.lease().cloned();
        if let Some(of) = self.keys.get_mut(key) {
            *of = Slot { held: Holds::Entry(Box::new(entry)), expires: slot.expires };
        }
        self.seen.note(Situation::AKeyComesBack, true);
        if let Some(of) = self.book.keys.get_mut(key) {
            // An older value is an older value: what counts is what was marked here.
            (of.value, of.invalidated, of.unknown_until_ms) = (known.value, known.invalidated, known.unknown_until_ms);
        }
        if let Some(lease) = &lease {
            self.find_again(key, lease, self.wall_ms);
        }
        let (name, from) = (Name::new(&[b'a' + key as u8]), LoadedFrom::Payload { is_settled: false });
        self.node.event(Event::Loaded(LoadedLease { db: 0, name, lease, youngest, from }), moment);
    }

    pub(crate) fn flush(&mut self) {
        for key in 0..self.keys.len() {
            if let Some(slot) = self.keys.get_mut(key) {
                slot.held = Holds::Nothing;
            }
            self.key_gone(key);
        }
        let moment = self.moment();
        self.node.event(Event::Flushed { db: None }, moment);
        // The floor counts as a mark of every tag for rebuilds that began before.
        self.book.marks.push(self.book.now);
    }
}

fn version_of(build: &Build, of: &Labelled) -> Option<u64> {
    match of.version {
        Version::Unsaid => None,
        Version::Primary => Some(build.source),
        Version::Lagging => Some(build.source.saturating_sub(1)),
    }
}
