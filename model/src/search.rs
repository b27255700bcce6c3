//! The search: properties, and every state that can be reached.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::act::{Act, Kind};
use crate::book::Rule;
use crate::run::Run;
use crate::world::{Client, World};

/// A state of the search.
#[derive(Clone, Debug)]
pub struct State {
    pub world: World,
    /// Where two servers give out tokens, their distance matters.
    pub exact_tokens: bool,
}

named! {
    /// What a run must come across, or it proves nothing.
    pub enum Situation {
        AFillAnswersWaiters = "a_fill_answers_waiters",
        ALateFillIsStored = "a_late_fill_is_stored",
        AVoidFillAnswersItsWaiters = "a_void_fill_answers_its_waiters",
        AWaiterIsPromoted = "a_waiter_is_promoted",
        OthersWaitOnAfterAHandover = "others_wait_on_after_a_handover",
        AWaiterGivesUp = "a_waiter_gives_up",
        AWaiterLeaves = "a_waiter_leaves",
        WaitersOfTwoRebuilds = "waiters_of_two_rebuilds",
        WaitersOutliveAnInvalidation = "waiters_outlive_an_invalidation",
        WaitersWaitForARenewal = "waiters_wait_for_a_renewal",
        AWaiterMeetsAnotherType = "a_waiter_meets_another_type",
        ATiedHolderDies = "a_tied_holder_dies",
        ACallerComesBeforeTheScheduler = "a_caller_comes_before_the_scheduler",
        AFailoverLosesAGrant = "a_failover_loses_a_grant",
        AHolderFillsAfterAFailover = "a_holder_fills_after_a_failover",
        ATokenIsGivenTwice = "a_token_is_given_twice",
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
    run: Run,
    seen: Seen,
}

/// Searches one run on `threads` threads. Ends at the first broken property.
pub fn search(run: &Run, threads: usize) -> Found {
    let began = Instant::now();
    let seen = Seen::default();
    let mut checker = Corral { run: run.clone(), seen: seen.clone() }
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures);
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
        vec![State { world: World::new(&self.run), exact_tokens: self.run.failover.is_some() }]
    }

    fn actions(&self, state: &State, acts: &mut Vec<Act>) {
        let State { world, .. } = state;
        if !world.broken.is_empty() {
            // Shown already; what follows says nothing.
            return;
        }
        let mut idle_one_asked = false;
        for (client, what) in world.clients.iter().enumerate() {
            match what {
                // One idle client is like the other.
                Client::Idle if idle_one_asked => {}
                Client::Idle => {
                    idle_one_asked = true;
                    let ways = 0..self.run.ways.len();
                    acts.extend(ways.flat_map(|way| (0..self.run.keys).map(move |key| Act::Ask { client, key, way })));
                }
                Client::Parked { .. } => self.allow(Kind::Crash, Act::Crash { client }, acts),
                Client::Holding(_) => {
                    for times in 0..self.run.times.len() {
                        self.allow(Kind::Fill, Act::Fill { client, times }, acts);
                    }
                    self.allow(Kind::FillWithoutMemory, Act::FillWithoutMemory { client }, acts);
                    self.allow(Kind::Touch, Act::Touch { client }, acts);
                    self.allow(Kind::Fail, Act::Fail { client }, acts);
                    self.allow(Kind::Pass, Act::Pass { client }, acts);
                    self.allow(Kind::Renew, Act::Renew { client }, acts);
                    self.allow(Kind::Release, Act::Release { client }, acts);
                    self.allow(Kind::Crash, Act::Crash { client }, acts);
                }
            }
        }
        for (key, slot) in world.slots.iter().enumerate() {
            self.allow(Kind::Set, Act::Set { key }, acts);
            self.allow(Kind::Invalidate, Act::Invalidate { key }, acts);
            self.allow(Kind::Delete, Act::Delete { key }, acts);
            self.allow(Kind::Overwrite, Act::Overwrite { key }, acts);
            self.allow(Kind::Retype, Act::Text { key }, acts);
            self.allow(Kind::Retype, Act::Foreign { key }, acts);
            if slot.room.is_due(world.now) {
                acts.push(Act::Advance { key });
            }
        }
        acts.extend(world.gone.iter().map(|(key, token)| Act::HolderGone { key: *key, token: *token }));
        // The scheduler can be late, but not for ever.
        if world.slots.iter().all(|slot| slot.room.next_moment().is_none_or(|moment| moment >= world.now)) {
            acts.push(Act::Tick);
        }
        if let Some(failover) = self.run.failover.filter(|_| !world.failed_over) {
            if failover.lags {
                acts.push(Act::Replicate);
            }
            acts.push(Act::Failover { behind_ms: failover.behind_ms });
        }
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let mut next = state.clone();
        next.world.put(act, &self.run, &self.seen);
        if next.world.broken.is_empty() {
            let drains = next.world.drains();
            next.world.broken.note(Rule::EverybodyIsAnsweredIfTimeRunsOn, !drains);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // A property's condition is a plain function: each names its own rule.
        macro_rules! always {
            ($($rule:ident)*) => {
                vec![$(Property::always(Rule::$rule.name(), |_, state: &State| !state.world.broken.has(Rule::$rule))),*]
            };
        }
        always![
            AtMostOneLiveLeasePerKey
            TokensOnlyGrow
            NothingStoredUnderAnOldToken
            TheCurrentTokenIsHonoured
            EveryWaiterIsAnsweredOnce
            NobodyWaitsWithoutANextMoment
            EverybodyIsAnsweredIfTimeRunsOn
            TheLongestWaitingIsPromoted
            ALeaseWithoutAFillIsHandedOverToOne
            ALeaseHasItsFullLength
            AnOvertakenRebuildIsNeverStored
            OneAnswerWakesThoseItIsFor
            NoLeaseIsUnbounded
        ]
    }
}

impl Corral {
    fn allow(&self, kind: Kind, act: Act, acts: &mut Vec<Act>) {
        if self.run.kinds.contains(&kind) {
            acts.push(act);
        }
    }
}

impl Run {
    /// Two masters that do not know of each other's grants, one with its clock behind, can give out one token twice.
    pub fn tokens_can_repeat(&self) -> bool {
        self.failover.is_some_and(|failover| failover.lags && failover.behind_ms > 0)
    }

    /// What this run is about.
    pub fn situations(&self) -> Vec<Situation> {
        use Situation::*;
        match self.name {
            "handover" => vec![
                AFillAnswersWaiters,
                ALateFillIsStored,
                AWaiterIsPromoted,
                OthersWaitOnAfterAHandover,
                AWaiterGivesUp,
                AWaiterLeaves,
                WaitersWaitForARenewal,
                ATiedHolderDies,
                ACallerComesBeforeTheScheduler,
            ],
            "invalidation" => vec![
                AVoidFillAnswersItsWaiters,
                WaitersOfTwoRebuilds,
                WaitersOutliveAnInvalidation,
                AWaiterIsPromoted,
                ALateFillIsStored,
            ],
            "verdicts" => vec![AFillAnswersWaiters, AWaiterIsPromoted, AWaiterGivesUp, ATiedHolderDies],
            "other commands" => vec![AWaiterMeetsAnotherType, AVoidFillAnswersItsWaiters, WaitersOfTwoRebuilds],
            "two keys" => vec![AFillAnswersWaiters, AWaiterIsPromoted, ATiedHolderDies],
            "failover, clock behind" => vec![AHolderFillsAfterAFailover, AWaiterIsPromoted],
            "failover, lagging" => vec![AHolderFillsAfterAFailover, AFailoverLosesAGrant],
            _ => vec![AHolderFillsAfterAFailover, AFailoverLosesAGrant, ATokenIsGivenTwice],
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
