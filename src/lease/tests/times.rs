//! Times, over all of soft deadline, SWR, SIE, jitter, lease and early refresh, to the ends of their ranges: no
//! combination makes a fresh value vanish or live for ever.

use std::sync::Arc;

use corral_lease::ask::{Answer, Ask};
use corral_lease::entry::Entry;
use corral_lease::freshness::{Freshness, SoftDeadline};
use corral_lease::rebuild::Memory;
use corral_lease::time::{UnixMs, MAX_MS};
use proptest::num::f64;
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::stage::{Input, Reply, Stage};

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_fresh_value_is_fresh_at_once_and_kept_until_its_soft_deadline(
        now in moment(), freshness in freshness(), chance in chance(),
    ) {
        let stage = set(now, freshness, chance);
        let asked = asked_deadline(freshness.soft, now);
        if asked > now {
            prop_assert!(stage.entry.is_fresh(now));
            prop_assert!(stage.entry.fresh_until() > now);
            prop_assert!(stage.entry.kept_until() >= stage.entry.fresh_until());
        } else if freshness.windows().is_empty() {
            prop_assert_eq!(stage.entry, Entry::vacant());
        }
    }

    #[test]
    fn only_a_value_that_is_fresh_for_ever_is_kept_for_ever(
        now in moment(), freshness in freshness(), chance in chance(),
    ) {
        let stage = set(now, freshness, chance);
        let for_ever = freshness.soft == SoftDeadline::Never;
        prop_assert_eq!(stage.entry.kept_until().is_never(), for_ever);
        prop_assert_eq!(stage.entry.fresh_until().is_never(), for_ever);
    }

    #[test]
    fn jitter_shortens_by_its_share_at_most_and_never_lengthens(
        now in moment(), freshness in freshness(), chance in chance(),
    ) {
        let asked = asked_deadline(freshness.soft, now);
        let times = freshness.resolve(now, || chance);
        prop_assert_eq!(times.windows, freshness.windows());
        prop_assert!(times.fresh_until <= asked);
        if asked.is_never() || asked <= now || freshness.jitter_percent == 0 {
            prop_assert_eq!(times.fresh_until, asked);
        } else {
            let (asked_ms, left_ms) = (u128::from(now.until(asked)), u128::from(now.until(times.fresh_until)));
            // One more for the rounding of a number near 2^53.
            let least_ms = asked_ms * (100 - u128::from(freshness.jitter_percent)) / 100;
            prop_assert!(left_ms >= 1 && left_ms + 1 >= least_ms, "{left_ms} of {asked_ms}");
        }
    }

    #[test]
    fn a_hits_number_is_minus_one_for_never_and_else_what_is_left(
        now in moment(), freshness in freshness(), chance in chance(), later in ms(),
    ) {
        let mut stage = set(now, freshness, chance);
        stage.now = now.plus(later);
        let Reply::Answer(answer) = stage.put(Input::Get).reply else { panic!("GET answers") };
        match answer {
            Answer::Hit { .. } if freshness.soft == SoftDeadline::Never => prop_assert_eq!(answer.number(), -1),
            Answer::Hit { .. } => {
                prop_assert!(stage.entry.is_fresh(stage.now));
                let left = stage.entry.fresh_until().get().unwrap() - stage.now.get().unwrap();
                prop_assert_eq!(answer.number(), i64::try_from(left).unwrap());
                prop_assert!(answer.number() > 0);
            }
            Answer::Stale { .. } | Answer::Miss { .. } => {
                prop_assert!(!stage.entry.is_fresh(stage.now));
                prop_assert_eq!(answer.number(), 0);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    /// A fill wakes with the number it stores, be it past already.
    #[test]
    fn a_woken_waiters_number_is_no_less_than_minus_one(
        now in moment(), freshness in freshness(), chance in chance(), lease_ms in lease_ms(), late in ms(),
    ) {
        let mut stage = Stage::new(now);
        stage.chance = chance;
        let token = granted(&mut stage, ask(lease_ms));
        stage.put(Input::Ask { ask: ask(lease_ms), block_ms: Some(0) });
        // Without the scheduler: the holder is late, nobody has taken over yet.
        stage.now = now.plus(late);
        let turn = stage.put(Input::Fill { token, value: value(), freshness, memory: Memory::Free });
        for (_, answer) in turn.wakes() {
            prop_assert_eq!(answer.payload(), Some(&b"v"[..]));
            prop_assert!(answer.number() >= -1);
            prop_assert_eq!(answer.number() == -1, freshness.soft == SoftDeadline::Never);
        }
    }

    /// Kept exactly as long as it is of use: a moment before the end something is there, at the end nothing.
    #[test]
    fn an_entry_ends_when_it_says(
        now in moment(), freshness in freshness(), chance in chance(), lease_ms in lease_ms(),
    ) {
        let mut stage = set(now, freshness, chance);
        stage.put(Input::Ask { ask: Ask { force: true, ..ask(lease_ms) }, block_ms: None });
        let end = stage.entry.kept_until();
        match end.get() {
            None => prop_assert!(!stage.entry.is_vacant(UnixMs::LAST)),
            Some(end_ms) => {
                prop_assert!(stage.entry.is_vacant(end));
                prop_assert!(end_ms == 0 || end <= now || !stage.entry.is_vacant(UnixMs::new(end_ms - 1)));
            }
        }
    }

    #[test]
    fn no_lease_is_unbounded_and_no_key_ends_before_its_lease(
        now in moment(), lease_ms in lease_ms(), renewals in prop::collection::vec((ms(), ms()), 0..4),
    ) {
        let mut stage = Stage::new(now);
        let token = granted(&mut stage, ask(lease_ms));
        for (later, renewal) in renewals {
            stage.now = stage.now.plus(later);
            let longest = now.plus(lease_ms).max(now.plus(crate::stage::LEASE_MAX_MS));
            match stage.put(Input::Renew { token, ms: renewal }).reply {
                Reply::Number(left_ms) => {
                    let lease = stage.entry.lease().copied();
                    prop_assert_eq!(lease.map(|lease| stage.now.until(lease.deadline)).unwrap_or(0), left_ms);
                    prop_assert!(lease.is_none_or(|lease| lease.deadline <= longest));
                }
                reply => prop_assert_eq!(reply, Reply::Nil),
            }
            if let Some(lease) = stage.entry.lease() {
                prop_assert!(!lease.deadline.is_never());
                prop_assert!(stage.entry.kept_until() >= lease.deadline);
                prop_assert!(!stage.entry.kept_until().is_never());
            }
        }
    }

    /// Whatever beta and the draw are, a caller on a fresh value has that value.
    #[test]
    fn early_refresh_never_costs_the_fresh_value(
        now in moment(), freshness in freshness(), beta in any_number(), chance in any_number(),
        built_ms in ms(), later in ms(), force in any::<bool>(),
    ) {
        let mut stage = Stage::new(now);
        let token = granted(&mut stage, ask(MAX_MS));
        stage.now = stage.now.plus(built_ms);
        stage.put(Input::Fill { token, value: value(), freshness, memory: Memory::Free });
        (stage.now, stage.chance) = (stage.now.plus(later), chance);
        let fresh = stage.entry.is_fresh(stage.now);
        let turn = stage.put(Input::Ask { ask: Ask { early_beta: beta, force, ..ask(1000) }, block_ms: None });
        let Reply::Answer(answer) = turn.reply else { panic!("without BLOCK a call is answered") };
        if fresh {
            prop_assert_eq!(answer.payload(), Some(&b"v"[..]), "{:?}", answer);
            let off = !force && (beta <= 0.0 || beta.is_nan() || freshness.soft == SoftDeadline::Never);
            prop_assert!(!off || answer.granted().is_none(), "refreshed without being asked to");
        }
    }

    /// Marks and back-offs end, too.
    #[test]
    fn no_mark_and_no_back_off_is_for_ever(
        now in moment(), freshness in freshness(), for_ms in ms(), fails in any::<bool>(),
    ) {
        let mut stage = set(now, freshness, 1.0);
        let asked = stage.put(Input::Ask { ask: Ask { force: true, ..ask(1000) }, block_ms: None });
        let Reply::Answer(answer) = asked.reply else { panic!("without BLOCK a call is answered") };
        let Some(token) = answer.granted() else { return Ok(()) };
        let input = match fails {
            true => Input::Fail { token, message: value(), backoff_ms: for_ms },
            false => Input::Pass { token, pass_ms: for_ms },
        };
        let reply = stage.put(input).reply;
        let for_ever = fails && freshness.soft == SoftDeadline::Never;
        prop_assert_eq!(stage.entry.kept_until().is_never(), for_ever);
        if let Reply::Answer(answer) = reply {
            prop_assert!(answer.number() >= 0);
        }
    }

    /// The windows of what is invalidated begin now at the latest: it is not fresh after, nor kept longer than before.
    #[test]
    fn invalidation_only_shortens(now in moment(), freshness in freshness(), chance in chance(), later in ms()) {
        let mut stage = set(now, freshness, chance);
        stage.now = stage.now.plus(later);
        let before = stage.entry.kept_until();
        stage.put(Input::Invalidate);
        prop_assert!(!stage.entry.is_fresh(stage.now));
        prop_assert!(stage.entry.kept_until() <= before);
        prop_assert!(stage.entry.kept_until() <= stage.now.plus(freshness.windows().longest_ms()));
    }
}

/// One key, set at `now`.
fn set(now: UnixMs, freshness: Freshness, chance: f64) -> Stage {
    let mut stage = Stage::new(now);
    stage.chance = chance;
    assert_eq!(stage.put(Input::Set { value: value(), freshness }).reply, Reply::Ok);
    stage
}

fn granted(stage: &mut Stage, ask: Ask) -> corral_lease::token::Token {
    let Reply::Answer(answer) = stage.put(Input::Ask { ask, block_ms: None }).reply else { panic!("not answered") };
    answer.granted().expect("nothing there is granted")
}

fn asked_deadline(soft: SoftDeadline, now: UnixMs) -> UnixMs {
    match soft {
        SoftDeadline::Never => UnixMs::NEVER,
        SoftDeadline::In(ms) => now.plus(ms),
        SoftDeadline::At(moment) => moment,
    }
}

fn value() -> Arc<[u8]> {
    Arc::from(&b"v"[..])
}

fn ask(lease_ms: u64) -> Ask {
    Ask { lease_ms, early_beta: 0.0, no_stale: false, force: false, tied: false }
}

fn freshness() -> impl Strategy<Value = Freshness> {
    let soft = prop_oneof![
        1 => Just(SoftDeadline::Never),
        3 => ms().prop_map(SoftDeadline::In),
        3 => moment().prop_map(SoftDeadline::At),
    ];
    (soft, ms(), ms(), 0..=100u8).prop_map(|(soft, swr_ms, sie_ms, jitter_percent)| Freshness {
        soft,
        swr_ms,
        sie_ms,
        jitter_percent,
    })
}

/// Any moment the clock may show, often near the ends of the range.
fn moment() -> impl Strategy<Value = UnixMs> {
    // Not before 1 ms: a token is never 0, and neither is the time on a server.
    ms().prop_map(|ms| UnixMs::new(ms.max(1)))
}

fn lease_ms() -> impl Strategy<Value = u64> {
    ms().prop_map(|ms| ms.max(1))
}

/// Any number of ms an option may say.
fn ms() -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => 0..3u64,
        4 => 0..100_000u64,
        2 => 1_600_000_000_000..1_800_000_000_000u64,
        2 => 0..=MAX_MS,
        1 => MAX_MS - 2..=MAX_MS,
    ]
}

/// What a draw gives: 0 to 1, both ends included.
fn chance() -> impl Strategy<Value = f64> {
    prop_oneof![8 => 0.0..=1.0, 1 => Just(0.0), 1 => Just(1.0)]
}

/// Infinities and what is no number included: the shell refuses them, the core must not rely on it.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..=1.0, 2 => 0.0..100.0, 1 => f64::ANY]
}
