//! The search: properties, and every state that can be reached.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::act::{Act, Kind};
use crate::book::{Broken, Rule};
use crate::run::{Run, Timer, VERSIONS};
use crate::world::{Does, World, WRITES};

/// A state of the search.
#[derive(Clone, Debug)]
pub struct State {
    pub world: World,
    print: u64,
    /// What is broken here, or would be if all fell silent: looked at once.
    broken: OnceLock<Broken>,
}

named! {
    /// What a run must come across, or it proves nothing.
    pub enum Situation {
        AFillAnswersWaiters = "a_fill_answers_waiters",
        ALateFillIsStored = "a_late_fill_is_stored",
        AWaiterIsPromoted = "a_waiter_is_promoted",
        AWaiterGivesUp = "a_waiter_gives_up",
        WaitersOfTwoRebuilds = "waiters_of_two_rebuilds",
        WaitersOutliveAnInvalidation = "waiters_outlive_an_invalidation",
        WaitersWaitForARenewal = "waiters_wait_for_a_renewal",
        AWaiterMeetsAnotherType = "a_waiter_meets_another_type",
        AWaiterIsDecidedAgain = "a_waiter_is_decided_again",
        ATiedHolderDies = "a_tied_holder_dies",
        AListenerIsTold = "a_listener_is_told",
        AFillOvertakenByAMarkIsVoid = "a_fill_overtaken_by_a_mark_is_void",
        AMarkComesDuringARebuild = "a_mark_comes_during_a_rebuild",
        ABehindFillIsVoid = "a_behind_fill_is_void",
        AQueueHasItsTurn = "a_queue_has_its_turn",
        ACircuitIsTried = "a_circuit_is_tried",
        AFailoverLosesAGrant = "a_failover_loses_a_grant",
        AServerIsStartedAgain = "a_server_is_started_again",
        AKeyComesBack = "a_key_comes_back",
        AHolderAsksOn = "a_holder_asks_on",
        AGrantIsLost = "a_grant_is_lost",
        AWaiterIsRefused = "a_waiter_is_refused",
        AWaiterIsForbidden = "a_waiter_is_forbidden",
        AStringWakesWaiters = "a_string_wakes_waiters",
        APlaceIsKept = "a_place_is_kept",
        SomebodyIsTurnedAway = "somebody_is_turned_away",
    }
}

/// What a search has come across, all steps together.
#[derive(Clone, Default, Debug)]
pub struct Seen(Arc<AtomicU32>);

/// What a search found.
#[derive(Debug)]
pub struct Found {
    pub steps: usize,
    pub states: usize,
    pub depth: usize,
    pub took: Duration,
    /// Property, and the shortest way there that was found.
    pub broken: Vec<(&'static str, String)>,
    /// What the run must come across and did not.
    pub missing: Vec<&'static str>,
}

struct Corral {
    run: &'static Run,
    seen: Seen,
}

/// Searches one run on `threads` threads. Ends at the first broken property.
pub fn search(run: &Run, threads: usize) -> Found {
    let began = Instant::now();
    let seen = Seen::default();
    // The same for as long as the program runs, which is not for long.
    let run: &'static Run = Box::leak(Box::new(run.clone()));
    let mut checker =
        Corral { run, seen: seen.clone() }.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    if let Some(depth) = run.depth {
        checker = checker.target_max_depth(depth);
    }
    let checker = checker.spawn_bfs().join();
    let broken = checker
        .discoveries()
        .into_iter()
        .map(|(name, path)| {
            let acts: Vec<String> = path.into_actions().iter().map(|act| format!("{act:?}")).collect();
            (name, acts.join(" -> "))
        })
        .collect();
    let missing = run.situations().into_iter().filter(|situation| !seen.has(*situation));
    Found {
        steps: checker.state_count(),
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: began.elapsed(),
        broken,
        missing: missing.map(Situation::name).collect(),
    }
}

impl Model for Corral {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(World::new(self.run, self.seen.clone()))]
    }

    fn actions(&self, state: &State, acts: &mut Vec<Act>) {
        let State { world, .. } = state;
        if !state.broken().is_empty() {
            // Shown already; what follows says nothing.
            return;
        }
        self.acts_of_clients(world, acts);
        self.acts_of_others(world, acts);
        let is_due = world.is_due();
        if self.run.timer == Timer::Late && is_due {
            acts.extend([Act::Turn, Act::Visit]);
        }
        if self.run.is_paced && world.node.has_answers() {
            acts.push(Act::Deliver);
        }
        // The timer can be late, but not for ever.
        if !(world.is_late && is_due) {
            acts.push(Act::Tick);
            if world.next_in_ms().is_some_and(|ms| (6..2000).contains(&ms)) {
                acts.push(Act::Wait);
            }
        }
        if let Some(replica) = world.replica.as_ref() {
            if replica.is_behind() {
                acts.push(Act::Replicate);
            }
            acts.push(Act::Failover);
        }
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let mut world = state.world.clone();
        world.put(act);
        Some(State::new(world))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // A property's condition is a plain function: each names its own rule.
        macro_rules! always {
            ($($rule:ident)*) => {
                vec![$(Property::always(Rule::$rule.name(), |_, state: &State| !state.broken().has(Rule::$rule))),*]
            };
        }
        always![
            AtMostOneLiveLeasePerKey
            TokensOnlyGrow
            NothingStoredUnderAnOldToken
            TheCurrentTokenIsHonoured
            EveryWaiterIsAnsweredOnce
            EverybodyIsAnsweredIfTimeRunsOn
            NobodyWaitsBeyondItsBlock
            TheLongestWaitingIsPromoted
            ALeaseWithoutAFillIsHandedOver
            ALeaseHasItsFullLength
            AnOvertakenRebuildIsNeverStored
            OneAnswerWakesThoseItIsFor
            NoLeaseIsUnbounded
            AnInvalidatedValueIsNeverFresh
            NobodyWaitsForAThirdBuild
            ServedVersionsNeverGoBack
            ASourceThatMovedOnIsNoFailure
            PermitsNeverExceedTheLimit
            AFreePermitAndAQueueNeverLastTogether
            WhoAskedFirstInTheGroupIsNext
            AnOpenCircuitGrantsNobody
            AGroupNeverGetsStuck
            AnUnknownOutcomeIsNeverRunAgain
            NobodyWaitsForWhatCannotCount
            ForgettingOnlyInvalidatesMore
            WhoSaidNostaleGetsNoOldValue
            NobodyIsGrantedWhileWritesAreRefused
            NothingIsStoredWhileWritesAreRefused
            WhatTheCallerMayNotItGetsNot
            APlainSetWakesThoseWhoWait
            NobodyIsParkedBeyondTheLimits
            NobodyIsRefusedWithoutReason
            NobodyWaitsForItself
            AnAnswerIsOfItsOwnKey
            ListenersAreToldOnce
            AListenersPermitIsKept
        ]
    }
}

impl Corral {
    fn allow(&self, kind: Kind, act: Act, acts: &mut Vec<Act>) {
        if self.run.kinds.contains(&kind) {
            acts.push(act);
        }
    }

    fn acts_of_clients(&self, world: &World, acts: &mut Vec<Act>) {
        let mut idle_one_asked = false;
        for (client, what) in world.clients.iter().enumerate() {
            match what.does {
                // One idle client is like the other, but for the place it may have.
                Does::Nothing if idle_one_asked && !world.book.places.contains_key(&what.id) => {}
                Does::Nothing => {
                    idle_one_asked |= !world.book.places.contains_key(&what.id);
                    for (way, of) in self.run.ways.iter().enumerate() {
                        let keys = (0..self.run.keys).filter(|key| of.key.is_none_or(|only| only == *key));
                        acts.extend(keys.map(|key| Act::Ask { client, key, way }));
                    }
                }
                Does::Waits(..) => {
                    self.allow(Kind::Crash, Act::Crash { client }, acts);
                    self.allow(Kind::Forbid, Act::Forbid { client }, acts);
                }
                // The server holds their calls back.
                Does::Builds(_) if world.is_paused => self.allow(Kind::Crash, Act::Crash { client }, acts),
                Does::Builds(token) => {
                    for value in 0..self.run.values.len() {
                        self.allow(Kind::Fill, Act::Fill { client, value }, acts);
                    }
                    self.allow(Kind::FillRefused, Act::FillRefused { client }, acts);
                    self.allow(Kind::Touch, Act::Touch { client }, acts);
                    self.allow(Kind::Fail, Act::Fail { client }, acts);
                    self.allow(Kind::Pass, Act::Pass { client }, acts);
                    self.allow(Kind::Renew, Act::Renew { client }, acts);
                    self.allow(Kind::Release, Act::Release { client }, acts);
                    self.allow(Kind::Crash, Act::Crash { client }, acts);
                    if what.is_handed {
                        self.allow(Kind::Lose, Act::Lose { client }, acts);
                    }
                    for (way, of) in self.run.ways.iter().enumerate() {
                        let keys = (0..self.run.keys).filter(|key| of.key.is_none_or(|only| only == *key));
                        for key in keys.filter(|key| world.is_behind_itself(token, *key, of)) {
                            self.allow(Kind::Nest, Act::Nest { client, key, way }, acts);
                        }
                    }
                }
            }
        }
    }

    fn acts_of_others(&self, world: &World, acts: &mut Vec<Act>) {
        for key in 0..self.run.keys {
            self.allow(Kind::Set, Act::Set { key }, acts);
            self.allow(Kind::Invalidate, Act::Invalidate { key }, acts);
            if world.book.keys.get(key).is_some_and(|known| known.source <= VERSIONS) {
                self.allow(Kind::Outdate, Act::Outdate { key }, acts);
            }
            self.allow(Kind::Delete, Act::Delete { key }, acts);
            self.allow(Kind::Retype, Act::Text { key }, acts);
            self.allow(Kind::Retype, Act::Foreign { key }, acts);
        }
        let tags = self.run.values.iter().flat_map(|value| value.tags).max().map_or(0, |tag| tag + 1);
        for tag in 0..tags {
            self.allow(Kind::Mark, Act::Mark { tag }, acts);
        }
        self.allow(Kind::Flush, Act::Flush, acts);
        self.allow(Kind::Restart, Act::Restart, acts);
        for key in (0..self.run.keys).filter(|key| world.entry(*key).is_some()) {
            self.allow(Kind::Migrate, Act::Dump { key }, acts);
        }
        if world.dumped.is_some() {
            self.allow(Kind::Migrate, Act::Restore, acts);
        }
        for writes in (0..WRITES).filter(|writes| *writes != world.writes) {
            self.allow(Kind::Refuse, Act::Refuse { writes }, acts);
        }
        for groups in (0..self.run.groups.len()).filter(|groups| *groups != world.groups) {
            self.allow(Kind::Configure, Act::Configure { groups }, acts);
        }
        self.allow(Kind::Pause, if world.is_paused { Act::Unpause } else { Act::Pause }, acts);
    }
}

impl State {
    fn new(world: World) -> Self {
        Self { print: world.print(), world, broken: OnceLock::new() }
    }

    fn broken(&self) -> &Broken {
        self.broken.get_or_init(|| match self.world.broken.is_empty() {
            true => self.world.look_ahead(),
            false => self.world.broken.clone(),
        })
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.print.hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl Run {
    /// What this run is about.
    pub fn situations(&self) -> Vec<Situation> {
        use Situation::*;
        match self.name {
            "handover" => vec![
                AFillAnswersWaiters,
                ALateFillIsStored,
                AWaiterIsPromoted,
                AWaiterGivesUp,
                WaitersWaitForARenewal,
                ATiedHolderDies,
            ],
            "invalidation" => {
                vec![WaitersOfTwoRebuilds, WaitersOutliveAnInvalidation, AWaiterIsPromoted, ALateFillIsStored]
            }
            "verdicts" => vec![AFillAnswersWaiters, AWaiterIsPromoted, AWaiterGivesUp, ATiedHolderDies],
            "other commands" => vec![AWaiterMeetsAnotherType, WaitersOfTwoRebuilds, AStringWakesWaiters],
            "refused writes" => vec![AWaiterIsRefused, AFillAnswersWaiters, AWaiterIsPromoted],
            "permissions" => vec![AWaiterIsForbidden, AWaiterIsPromoted],
            "lost grants" => vec![AGrantIsLost, AQueueHasItsTurn, ACircuitIsTried],
            "paced answers of two keys" => vec![AFillAnswersWaiters],
            "paced answers" => vec![AFillAnswersWaiters, AWaiterGivesUp, AWaiterIsForbidden],
            "limits" | "limits of a key" => vec![SomebodyIsTurnedAway, AListenerIsTold],
            "a restart" => vec![AServerIsStartedAgain, AFillOvertakenByAMarkIsVoid],
            "a key that comes back" => vec![AKeyComesBack, AFillAnswersWaiters],
            "a queue and its limits" => vec![APlaceIsKept, AWaiterGivesUp, AQueueHasItsTurn],
            "nested asks" => vec![AHolderAsksOn, AQueueHasItsTurn],
            "flushes under a limit" => vec![ACircuitIsTried, AQueueHasItsTurn, AFillOvertakenByAMarkIsVoid],
            "flushes under once" => vec![AFillAnswersWaiters, AMarkComesDuringARebuild],
            "two keys" => vec![AFillAnswersWaiters, AWaiterIsPromoted],
            "pauses" => vec![AFillAnswersWaiters, AWaiterIsPromoted, ATiedHolderDies],
            "listeners" => vec![AListenerIsTold, AQueueHasItsTurn],
            "tags" | "forgotten tags" => vec![AFillOvertakenByAMarkIsVoid, AMarkComesDuringARebuild],
            "tags under waiters" => vec![AFillOvertakenByAMarkIsVoid, AWaiterIsDecidedAgain, AFillAnswersWaiters],
            "versions" => vec![ABehindFillIsVoid, AFillAnswersWaiters],
            "a limit" | "a limit, timer late" | "changing groups" => vec![AQueueHasItsTurn, AFillAnswersWaiters],
            "a circuit" | "trials" | "a limit and a circuit" => vec![ACircuitIsTried],
            "failover, lagging" => vec![AFailoverLosesAGrant],
            _ => vec![AFillAnswersWaiters],
        }
    }
}

impl Seen {
    pub fn note(&self, situation: Situation, happened: bool) {
        if happened {
            self.0.fetch_or(1 << situation as u32, Ordering::Relaxed);
        }
    }

    pub fn has(&self, situation: Situation) -> bool {
        self.0.load(Ordering::Relaxed) & 1 << situation as u32 != 0
    }
}
