//! Any sequence of inputs on one key, with whatever the scheduler makes of the time between them. After every step the
//! core has done what the oracle says, and the contract's rules hold.

use std::sync::Arc;

use corral_lease::ask::Ask;
use corral_lease::freshness::{Freshness, SoftDeadline};
use corral_lease::key::{Effect, Other};
use corral_lease::rebuild::Memory;
use corral_lease::time::UnixMs;
use corral_lease::token::Token;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, Index};
use proptest::test_runner::Config;

use crate::oracle::Oracle;
use crate::rules::Rules;
use crate::stage::{Input, Stage};

/// ms since the epoch. Small, so that a failing history can be read.
const START: u64 = 1_000_000;

proptest! {
    // PROPTEST_CASES=100000 for a long look.
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_history_goes_as_the_oracle_says_and_everybody_is_answered(acts in vec(act(), 1..100)) {
        let mut history = History::new();
        for act in acts {
            history.play(act);
        }
        history.play_out();
    }
}

#[test]
fn at_the_end_of_all_tokens_a_handover_still_ends() {
    let mut stage = Stage::new(UnixMs::new(START));
    stage.see(Token::new(Token::MAX).unwrap());
    let ask = plain_ask(100);
    stage.put(Input::Ask { ask, block_ms: None });
    for _ in 0..3 {
        stage.put(Input::Ask { ask, block_ms: Some(0) });
    }
    let turns = stage.run_until(UnixMs::new(START + 100));
    let wakes: Vec<_> = turns.iter().flat_map(|(_, turn)| turn.wakes()).collect();
    assert_eq!(wakes.len(), 1);
    assert_eq!(stage.room.len(), 2);
}

/// The core, the oracle and the rules, side by side.
struct History {
    stage: Stage,
    oracle: Oracle,
    rules: Rules,
    /// In the order they were granted.
    tokens: Vec<Token>,
}

/// One thing that happens. Tokens and waiters are picked from those there are.
#[derive(Clone, Debug)]
enum Act {
    Ask {
        ask: Ask,
        block_ms: Option<u64>,
    },
    Fill {
        which: Which,
        freshness: Freshness,
        memory: Memory,
    },
    Set(Freshness),
    Overwrite(Freshness),
    /// An ordinary string for so long, or another type.
    Retype(Option<u64>),
    Get,
    Renew {
        which: Which,
        ms: u64,
    },
    Release(Which),
    HolderGone(Which),
    Fail {
        which: Which,
        backoff_ms: u64,
    },
    Pass {
        which: Which,
        pass_ms: u64,
    },
    Touch {
        which: Which,
        freshness: Freshness,
    },
    Invalidate,
    Delete,
    Leave(Index),
    Advance,
    /// Time runs, and the scheduler with it.
    Time(u64),
    /// Time runs, and the scheduler is late.
    Busy(u64),
    Chance(f64),
}

#[derive(Clone, Debug)]
enum Which {
    Latest,
    Any(Index),
    NeverGranted,
}

impl History {
    fn new() -> Self {
        let (stage, oracle) = (Stage::new(UnixMs::new(START)), Oracle::new(START));
        Self { stage, oracle, rules: Rules::default(), tokens: Vec::new() }
    }

    fn play(&mut self, act: Act) {
        // Each value is another one, so that it shows which was stored.
        let value: Arc<[u8]> = Arc::from(format!("v{}", self.tokens.len()).as_bytes());
        let message = Arc::from(&b"down"[..]);
        let input = match act {
            Act::Ask { ask, block_ms } => Input::Ask { ask, block_ms },
            Act::Fill { which, freshness, memory } => {
                Input::Fill { token: self.token(&which), value, freshness: self.placed(freshness), memory }
            }
            Act::Set(freshness) => Input::Set { value, freshness: self.placed(freshness) },
            Act::Overwrite(freshness) => Input::Overwrite { value, freshness: self.placed(freshness) },
            Act::Retype(None) => Input::Retype(Other::Foreign),
            Act::Retype(Some(ms)) => {
                Input::Retype(Other::String { value, fresh_until: UnixMs::new(self.oracle.key.now + ms) })
            }
            Act::Get => Input::Get,
            Act::Renew { which, ms } => Input::Renew { token: self.token(&which), ms },
            Act::Release(which) => Input::Release { token: self.token(&which) },
            Act::HolderGone(which) => Input::HolderGone { token: self.token(&which) },
            Act::Fail { which, backoff_ms } => Input::Fail { token: self.token(&which), message, backoff_ms },
            Act::Pass { which, pass_ms } => Input::Pass { token: self.token(&which), pass_ms },
            Act::Touch { which, freshness } => {
                Input::Touch { token: self.token(&which), freshness: self.placed(freshness) }
            }
            Act::Invalidate => Input::Invalidate,
            Act::Delete => Input::Delete,
            Act::Leave(index) => {
                let parked: Vec<_> = self.rules.parked().collect();
                if parked.is_empty() {
                    return;
                }
                Input::Leave(*index.get(&parked))
            }
            Act::Advance => Input::Advance,
            Act::Time(ms) => return self.run_for(ms),
            Act::Busy(ms) => return self.set_clock(self.oracle.key.now + ms),
            Act::Chance(chance) => {
                (self.stage.chance, self.oracle.key.chance) = (chance, chance);
                return;
            }
        };
        self.put(input);
    }

    fn put(&mut self, input: Input) {
        let before = self.rules.before(&mut self.stage);
        let turn = self.stage.put(input.clone());
        let expected = self.oracle.put(&input);
        assert_eq!(turn.reply, expected.reply, "the reply to {input:?}");
        let mut wakes = turn.wakes();
        wakes.sort_by_key(|(id, _)| *id);
        assert_eq!(wakes, expected.wakes, "the wakes of {input:?}");
        assert_eq!(turn.refusals(), expected.refusals, "who is refused by {input:?}");
        self.agree();
        self.rules.check(&before, &input, &turn, &self.stage);
        for effect in &turn.effects {
            if let Effect::Granted { lease, .. } = effect {
                self.tokens.push(lease.token);
            }
        }
    }

    /// What can be seen of the key and its room is what the oracle sees.
    fn agree(&self) {
        let (entry, key) = (&self.stage.entry, &self.oracle.key);
        assert_eq!(entry.peek(self.stage.now), key.get());
        assert_eq!(entry.value().map(|value| &**value), key.value.as_ref().map(|value| &*value.bytes));
        let lease = entry.lease().map(|lease| (lease.token.get(), lease.deadline.get().unwrap()));
        assert_eq!(lease, key.lease.map(|lease| (lease.token, lease.deadline)));
        let moment = self.stage.room.next_moment().and_then(UnixMs::get);
        assert_eq!(moment, self.oracle.next_moment().filter(|moment| *moment != u64::MAX));
    }

    fn run_for(&mut self, ms: u64) {
        let until = self.oracle.key.now + ms;
        while let Some(moment) = self.oracle.next_moment().filter(|moment| *moment <= until) {
            self.set_clock(moment.max(self.oracle.key.now));
            self.put(Input::Advance);
            assert!(!self.stage.room.is_due(self.stage.now), "after *advance* nothing is due");
        }
        self.set_clock(until);
    }

    fn set_clock(&mut self, now: u64) {
        (self.stage.now, self.oracle.key.now) = (UnixMs::new(now), now);
    }

    /// Rule 4: nobody comes any more and no holder says a word. Then the deadlines alone answer everybody.
    fn play_out(&mut self) {
        // Each lease that runs out answers one waiter at least; those of void leases first join another.
        for _ in 0..2 * self.stage.room.len() + 2 {
            let Some(moment) = self.stage.room.next_moment() else { break };
            self.run_for(moment.get().unwrap().saturating_sub(self.oracle.key.now));
        }
        assert!(self.stage.room.is_empty(), "some wait for ever: {:?}", self.stage.room);
        assert_eq!(self.rules.parked().count(), 0);
    }

    fn token(&self, which: &Which) -> Token {
        let never_granted = Token::new(1).unwrap();
        match which {
            Which::Latest => self.tokens.last().copied().unwrap_or(never_granted),
            Which::Any(index) if !self.tokens.is_empty() => *index.get(&self.tokens),
            Which::Any(_) | Which::NeverGranted => never_granted,
        }
    }

    /// Deadlines count from here: some are past already.
    fn placed(&self, freshness: Freshness) -> Freshness {
        let soft = match freshness.soft {
            SoftDeadline::At(after) => {
                SoftDeadline::At(UnixMs::new((self.oracle.key.now + after.get().unwrap()).saturating_sub(50)))
            }
            other => other,
        };
        Freshness { soft, ..freshness }
    }
}

fn act() -> impl Strategy<Value = Act> {
    let fill = (which(), freshness(), prop_oneof![9 => Just(Memory::Free), 1 => Just(Memory::Full)]);
    prop_oneof![
        12 => (ask(), block()).prop_map(|(ask, block_ms)| Act::Ask { ask, block_ms }),
        3 => fill.prop_map(|(which, freshness, memory)| Act::Fill { which, freshness, memory }),
        1 => freshness().prop_map(Act::Set),
        1 => freshness().prop_map(Act::Overwrite),
        1 => prop::option::of(span()).prop_map(Act::Retype),
        1 => Just(Act::Get),
        1 => (which(), span()).prop_map(|(which, ms)| Act::Renew { which, ms: ms.max(1) }),
        2 => which().prop_map(Act::Release),
        1 => which().prop_map(Act::HolderGone),
        1 => (which(), span()).prop_map(|(which, backoff_ms)| Act::Fail { which, backoff_ms }),
        1 => (which(), span()).prop_map(|(which, pass_ms)| Act::Pass { which, pass_ms }),
        1 => (which(), freshness()).prop_map(|(which, freshness)| Act::Touch { which, freshness }),
        2 => Just(Act::Invalidate),
        1 => Just(Act::Delete),
        1 => any::<Index>().prop_map(Act::Leave),
        1 => Just(Act::Advance),
        5 => span().prop_map(Act::Time),
        2 => span().prop_map(Act::Busy),
        1 => select(vec![1e-9, 0.1, 0.5, 0.9, 1.0]).prop_map(Act::Chance),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let lease_ms = select(vec![1, 20, 50, 50, 100, 200]);
    (lease_ms, select(vec![0.0, 0.0, 0.0, 1.0, 3.0]), any::<bool>(), prop::bool::weighted(0.1), any::<bool>()).prop_map(
        |(lease_ms, early_beta, no_stale, force, tied)| Ask {
            early_beta,
            no_stale,
            force,
            tied,
            ..plain_ask(lease_ms)
        },
    )
}

/// Mostly blocking: who waits is what this is about.
fn block() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![1 => Just(None), 2 => Just(Some(0)), 3 => span().prop_map(Some)]
}

fn freshness() -> impl Strategy<Value = Freshness> {
    let soft = prop_oneof![
        1 => Just(SoftDeadline::Never),
        4 => span().prop_map(SoftDeadline::In),
        2 => span().prop_map(|ms| SoftDeadline::At(UnixMs::new(ms))),
    ];
    let window = || prop_oneof![Just(0), span()];
    (soft, window(), window()).prop_map(|(soft, swr_ms, sie_ms)| Freshness { soft, swr_ms, sie_ms, jitter_percent: 0 })
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![6 => Just(Which::Latest), 6 => any::<Index>().prop_map(Which::Any), 1 => Just(Which::NeverGranted)]
}

/// Few and round, so that moments often fall together.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![4 => select(vec![0, 1, 20, 50, 50, 100, 150, 200]), 1 => 0..300u64]
}

fn plain_ask(lease_ms: u64) -> Ask {
    Ask { lease_ms, early_beta: 0.0, no_stale: false, force: false, tied: false }
}
