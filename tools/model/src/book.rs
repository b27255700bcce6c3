//! What can be told from outside: who was granted what, who waits, what was invalidated. Every step of the node is held
//! against it; what does not agree breaks a [`Rule`].

use std::collections::{BTreeMap, BTreeSet};

use corral_core::token::Token;

named! {
    /// What must hold in every state: the properties of the search.
    pub enum Rule {
        /// Rule 1, from the holders' side.
        AtMostOneLiveLeasePerKey = "at_most_one_live_lease_per_key",
        /// Rule 2.
        TokensOnlyGrow = "tokens_only_grow",
        /// Rule 3: a value is in the key only if it was there, or came by SET, or by the holder of the current lease.
        NothingStoredUnderAnOldToken = "nothing_stored_under_an_old_token",
        /// Rule 3, the other way: whose lease is current, late or not, is heard.
        TheCurrentTokenIsHonoured = "the_current_token_is_honoured",
        /// Rule 4.
        EveryWaiterIsAnsweredOnce = "every_waiter_is_answered_once",
        /// Rule 4: if every client falls silent and only the timer goes on, when it says it is due, everybody is
        /// answered.
        EverybodyIsAnsweredIfTimeRunsOn = "everybody_is_answered_if_time_runs_on",
        /// Rule 4: in a queue too.
        NobodyWaitsBeyondItsBlock = "nobody_waits_beyond_its_block",
        /// Rule 5.
        TheLongestWaitingIsPromoted = "the_longest_waiting_is_promoted",
        /// Rule 5: who waits for nothing but a decision has it.
        ALeaseWithoutAFillIsHandedOver = "a_lease_without_a_fill_is_handed_over",
        /// Rule 5: of its own length, from now on, tied as asked.
        ALeaseHasItsFullLength = "a_lease_has_its_full_length",
        /// Rule 6: after an invalidation, or whatever else took the lease, its holder stores nothing.
        AnOvertakenRebuildIsNeverStored = "an_overtaken_rebuild_is_never_stored",
        /// Rules 6 and 7: a fill wakes all it is for, a void one those that joined it, an invalidation nobody.
        OneAnswerWakesThoseItIsFor = "one_answer_wakes_those_it_is_for",
        /// Rule 9: no renewal leads beyond the longest lease allowed, and no key ends before its lease.
        NoLeaseIsUnbounded = "no_lease_is_unbounded",
        /// Tags: nobody who asks after an invalidation gets, as fresh, a value whose rebuild began before it. Forgetting
        /// marks only invalidates more.
        AnInvalidatedValueIsNeverFresh = "an_invalidated_value_is_never_fresh",
        /// Tags: under invalidations faster than a build, too.
        NobodyWaitsForAThirdBuild = "nobody_waits_for_a_third_build",
        /// Versions: for who asks after an OUTDATE.
        ServedVersionsNeverGoBack = "served_versions_never_go_back",
        /// Versions: who read what was newest when it began has not failed.
        ASourceThatMovedOnIsNoFailure = "a_source_that_moved_on_is_no_failure",
        /// Groups: leases that hold permits, void or not, are never more.
        PermitsNeverExceedTheLimit = "permits_never_exceed_the_limit",
        /// Groups.
        AFreePermitAndAQueueNeverLastTogether = "a_free_permit_and_a_queue_never_last_together",
        /// Groups: of those who would be granted now.
        WhoAskedFirstInTheGroupIsNext = "who_asked_first_in_the_group_is_next",
        /// Circuits: neither an open one nor a half-open one whose trial is out, whatever leftovers of before say.
        AnOpenCircuitGrantsNobody = "an_open_circuit_grants_nobody",
        /// Groups: every end gives the permit back, every end of a trial leads on.
        AGroupNeverGetsStuck = "a_group_never_gets_stuck",
        /// ONCE.
        AnUnknownOutcomeIsNeverRunAgain = "an_unknown_outcome_is_never_run_again",
        /// Tags: nobody waits for a rebuild that was voided before the question, or that is over.
        NobodyWaitsForWhatCannotCount = "nobody_waits_for_what_cannot_count",
        /// Tags: a mark that there was no room for counts on.
        ForgettingOnlyInvalidatesMore = "forgetting_only_invalidates_more",
        /// Whatever becomes of the rebuild.
        WhoSaidNostaleGetsNoOldValue = "who_said_nostale_gets_no_old_value",
        /// While the server refuses writes.
        NobodyIsGrantedWhileWritesAreRefused = "nobody_is_granted_while_writes_are_refused",
        NothingIsStoredWhileWritesAreRefused = "nothing_is_stored_while_writes_are_refused",
        /// Rule 13.
        WhatTheCallerMayNotItGetsNot = "what_the_caller_may_not_it_gets_not",
        /// Rule 6: over the entry of a key with waiters.
        APlainSetWakesThoseWhoWait = "a_plain_set_wakes_those_who_wait",
        /// Rule 11.
        NobodyIsParkedBeyondTheLimits = "nobody_is_parked_beyond_the_limits",
        /// An error of the server's, NOPERM, an unknown outcome and an open circuit are only told where there is one.
        NobodyIsRefusedWithoutReason = "nobody_is_refused_without_reason",
        /// A connection behind its own lease, or in the queue of a group that it fills, is told to wait at once.
        NobodyWaitsForItself = "nobody_waits_for_itself",
        /// Whatever else is on its way.
        AnAnswerIsOfItsOwnKey = "an_answer_is_of_its_own_key",
        /// NOTIFY: as soon as there is an answer, by one message, and nobody else is.
        ListenersAreToldOnce = "listeners_are_told_once",
        /// NOTIFY: who queued has its turn, for 100 ms.
        AListenersPermitIsKept = "a_listeners_permit_is_kept",
    }
}

/// What is broken.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Broken(BTreeSet<Rule>);

impl Broken {
    pub fn note(&mut self, rule: Rule, is_broken: bool) {
        if is_broken {
            self.0.insert(rule);
        }
    }

    pub fn has(&self, rule: Rule) -> bool {
        self.0.contains(&rule)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn rules(&self) -> impl Iterator<Item = Rule> + '_ {
        self.0.iter().copied()
    }
}

/// A rebuild, from its grant until nobody can speak of it any more.
#[derive(Clone, Debug)]
pub struct Build {
    pub token: Token,
    pub key: usize,
    /// The number of its group among [`GROUPS`].
    pub group: usize,
    pub client: u64,
    /// The act that granted it.
    pub began: u64,
    pub deadline_ms: u64,
    pub length_ms: u64,
    pub is_tied: bool,
    pub once_ms: Option<u64>,
    /// Nobody has taken over, and nothing has voided it.
    pub is_current: bool,
    /// Its holder has spoken, or is known to be gone.
    pub is_over: bool,
    /// Its deadline was seen to pass.
    pub is_late: bool,
    /// It came back with its key, as from another node, by whose clock its token may be.
    pub has_arrived: bool,
    /// The act that voided it; 0 if none has.
    pub voided: u64,
    /// The source's version when it was granted.
    pub source: u64,
    /// What the source was said to have, then.
    pub known: u64,
}

/// Where a value came from.
#[derive(Clone, Debug)]
pub struct Built {
    pub key: usize,
    pub began: u64,
    pub tags: &'static [usize],
    pub version: Option<u64>,
}

/// Somebody who waits.
#[derive(Clone, Debug)]
pub struct Parked {
    pub key: usize,
    pub way: usize,
    pub asked: u64,
    /// Its place: of an earlier ask, if it came back to it.
    pub place: u64,
    pub gives_up_ms: Option<u64>,
    /// The rebuild whose end it waits for.
    pub joined: Option<Token>,
    /// What the source was known to have when it asked; 0 for nothing.
    pub known: u64,
    /// When it last stopped waiting for one, and by which act; 0 for never.
    pub left_ms: u64,
    pub left: u64,
    /// Fills of its key that it saw and waits on after.
    pub fills: u32,
}

/// What is known of one key.
#[derive(Clone, Default, Debug)]
pub struct Known {
    /// The value it may hold.
    pub value: Option<u64>,
    pub invalidated: u64,
    /// The source's version, and since when OUTDATE has said so, for how long.
    pub source: u64,
    pub floor: u64,
    pub floor_at: u64,
    pub floor_until_ms: u64,
    /// The outcome of its last rebuild is unknown until then.
    pub unknown_until_ms: u64,
}

/// What is known of a group's circuit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Circuit {
    Closed { failures: u64 },
    Open { until_ms: u64, cool_ms: u64, last: Option<Token> },
    Trying { trial: Option<Token>, last: Option<Token>, cool_ms: u64 },
}

#[derive(Clone, Debug)]
pub struct Group {
    pub max: u64,
    pub fails: u64,
    pub cool_ms: u64,
    pub circuit: Circuit,
}

/// The groups that are looked at, the first of which has no name.
pub const GROUPS: [Option<&str>; 3] = [None, Some("g"), Some("h")];

#[derive(Clone, Default, Debug)]
pub struct Book {
    /// Acts so far: the order of everything.
    pub now: u64,
    pub largest: u64,
    pub builds: Vec<Build>,
    pub values: BTreeMap<u64, Built>,
    pub last_value: u64,
    pub keys: Vec<Known>,
    /// When each tag was last marked, and all marks that somebody could have asked before.
    pub marked: [u64; 2],
    pub marks: Vec<u64>,
    pub groups: Vec<Group>,
    /// Places of connections whose BLOCK ran out in a queue: key, place, and until when.
    pub places: BTreeMap<u64, (usize, u64, u64)>,
    /// Who asked first of those that listen to each key.
    pub listening: BTreeMap<usize, Parked>,
    /// Permits kept for the next ask of a key: of which group, until when.
    pub kept: Vec<(usize, usize, u64)>,
}

impl Build {
    pub fn is_live(&self, now_ms: u64) -> bool {
        self.is_current && !self.is_over && now_ms < self.deadline_ms
    }

    /// Void or not.
    pub fn holds_permit(&self, now_ms: u64) -> bool {
        !self.is_over && now_ms < self.deadline_ms
    }
}

impl Book {
    pub fn build(&self, token: Token) -> Option<&Build> {
        self.builds.iter().find(|build| build.token == token)
    }

    pub fn build_mut(&mut self, token: Token) -> Option<&mut Build> {
        self.builds.iter_mut().find(|build| build.token == token)
    }

    pub fn live(&self, key: usize, now_ms: u64) -> Option<&Build> {
        self.builds.iter().find(|build| build.key == key && build.is_live(now_ms))
    }

    pub fn permits(&self, group: usize, now_ms: u64) -> u64 {
        self.builds.iter().filter(|build| build.group == group && build.holds_permit(now_ms)).count() as u64
    }

    /// The key's lease, whatever it is, is none any more. `from_ms`: a ONCE lease's outcome is unknown from there.
    pub fn void(&mut self, key: usize, from_ms: Option<u64>) {
        let (mut noted, now) = (Vec::new(), self.now);
        for build in self.builds.iter_mut().filter(|build| build.key == key && build.is_current) {
            (build.is_current, build.voided) = (false, now);
            if let (Some(now_ms), Some(ms)) = (from_ms, build.once_ms.filter(|_| !build.is_over)) {
                let end_ms = now_ms.min(build.deadline_ms);
                let until = if ms == 0 { u64::MAX } else { end_ms + ms };
                if let Some(known) = self.keys.get_mut(key) {
                    known.unknown_until_ms = known.unknown_until_ms.max(until);
                }
            }
            if !build.is_over && !build.is_late {
                noted.push((build.group, build.token));
            }
        }
        for (group, token) in noted {
            self.end_without_verdict(group, token);
        }
        // Who listens joins no rebuild: it is decided again.
        for listens in self.listening.values_mut().filter(|listens| listens.key == key && listens.joined.is_some()) {
            (listens.joined, listens.left) = (None, now);
        }
    }

    pub fn end_without_verdict(&mut self, group: usize, token: Token) {
        if let Some(Circuit::Trying { trial, .. }) = self.groups.get_mut(group).map(|group| &mut group.circuit) {
            if *trial == Some(token) {
                *trial = None;
            }
        }
    }

    pub fn succeeded(&mut self, group: usize, token: Token) {
        let Some(group) = self.groups.get_mut(group) else { return };
        group.circuit = match group.circuit {
            Circuit::Closed { .. } => Circuit::Closed { failures: 0 },
            Circuit::Open { last, .. } | Circuit::Trying { last, .. } if last == Some(token) => {
                Circuit::Closed { failures: 0 }
            }
            circuit => circuit,
        };
    }

    pub fn failed(&mut self, group: usize, token: Token, now_ms: u64) {
        let Some(group) = self.groups.get_mut(group) else { return };
        group.circuit = match group.circuit {
            Circuit::Closed { failures } if group.fails > 0 => match failures + 1 >= group.fails {
                true => Circuit::Open { until_ms: now_ms + group.cool_ms, cool_ms: group.cool_ms, last: None },
                false => Circuit::Closed { failures: failures + 1 },
            },
            Circuit::Trying { trial: Some(trial), last, cool_ms } if trial == token => {
                let cool_ms = (cool_ms * 2).min(group.cool_ms * 32);
                Circuit::Open { until_ms: now_ms + cool_ms, cool_ms, last }
            }
            circuit => circuit,
        };
    }

    /// What the source is known to have of a key: what OUTDATE said, or the kept value's own version.
    pub fn known_version(&self, key: usize, now_ms: u64) -> u64 {
        let Some(known) = self.keys.get(key) else { return 0 };
        let floor = if now_ms < known.floor_until_ms { known.floor } else { 0 };
        let kept = known.value.and_then(|value| self.values.get(&value)).and_then(|built| built.version);
        floor.max(kept.unwrap_or(0))
    }
}
