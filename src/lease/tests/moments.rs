//! Sums of moments, against numbers that have no end.

use corral_lease::time::{UnixMs, MAX_MS};
use proptest::prelude::*;
use proptest::test_runner::Config;

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn moments_add_and_subtract_as_numbers_without_end_do(a in any_ms(), b in any_ms()) {
        let (wide_a, wide_b, end) = (u128::from(a), u128::from(b), u128::from(MAX_MS));
        let (one, other) = (UnixMs::new(a), UnixMs::new(b));
        prop_assert_eq!(one.get().map(u128::from), Some(wide_a.min(end)));
        prop_assert_eq!(one.plus(b).get().map(u128::from), Some((wide_a.min(end) + wide_b).min(end)));
        prop_assert_eq!(u128::from(one.until(other)), wide_b.min(end).saturating_sub(wide_a.min(end)));
        prop_assert_eq!(UnixMs::from_micros(a), UnixMs::new(a / 1000));
        prop_assert_eq!(one < other, a.min(MAX_MS) < b.min(MAX_MS));
    }

    #[test]
    fn never_comes_after_every_moment_and_stays(ms in any_ms()) {
        let moment = UnixMs::new(ms);
        prop_assert!(moment < UnixMs::NEVER && !moment.plus(ms).is_never());
        prop_assert_eq!(UnixMs::NEVER.plus(ms), UnixMs::NEVER);
        prop_assert_eq!(UnixMs::NEVER.until(moment), 0);
        prop_assert_eq!(moment.until(UnixMs::NEVER), MAX_MS);
    }
}

/// Of every size, and around the ends.
fn any_ms() -> impl Strategy<Value = u64> {
    prop_oneof![0..1000u64, any::<u64>(), MAX_MS - 2..MAX_MS + 3, u64::MAX - 2..=u64::MAX]
}
