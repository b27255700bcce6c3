//! Arguments, over all orders, cases and numbers: what is right is read as it was meant, what is not is refused in one
//! clear line. Arbitrary bytes are the fuzzers' part (`make fuzz`).

use std::ops::RangeInclusive;

use corral_lease::freshness::SoftDeadline;
use corral_lease::time::{UnixMs, MAX_MS};
use corral_lease::token::Token;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::Config;

use super::args::{number, token, MS};
use super::ask::Call;
use super::freshness;
use crate::redis::refusal::Refusal;
use crate::redis::settings::LEASE_MAX_MS;

/// One option as it is sent: its word and, where it has one, its value.
type Sent = Vec<String>;

fn told(refusal: &Refusal) -> String {
    refusal.sentence().to_str().unwrap().to_owned()
}

fn parse_call(sent: &[Sent]) -> Result<Call, String> {
    Call::parse(sent.iter().flatten().map(String::as_bytes), true).map_err(|refusal| told(&refusal))
}

/// GETORLOCK's options, any of them, in any order and case, and what they mean.
fn call() -> impl Strategy<Value = (Vec<Sent>, Call)> {
    let options = (
        proptest::option::of(1..=300_000_u64),
        proptest::option::of(0..=MAX_MS),
        proptest::option::of((0..=10_000_u32).prop_map(|hundredths| f64::from(hundredths) / 100.0)),
        any::<[bool; 3]>(),
    );
    let meant = options.prop_map(|(lease, block, early, [no_stale, force, tied])| {
        let mut call = Call::plain();
        let mut sent = Vec::new();
        if let Some(ms) = lease {
            call.ask.lease_ms = ms;
            sent.push(vec!["LEASE".to_owned(), ms.to_string()]);
        }
        if let Some(ms) = block {
            call.block_ms = Some(ms);
            sent.push(vec!["BLOCK".to_owned(), ms.to_string()]);
        }
        if let Some(beta) = early {
            call.ask.early_beta = beta;
            sent.push(vec!["EARLY".to_owned(), beta.to_string()]);
        }
        for (is_given, word) in [(no_stale, "NOSTALE"), (force, "FORCE"), (tied, "TIED")] {
            if is_given {
                sent.push(vec![word.to_owned()]);
            }
        }
        (call.ask.no_stale, call.ask.force, call.ask.tied) = (no_stale, force, tied);
        (sent, call)
    });
    meant.prop_flat_map(|(sent, call)| (mixed(sent), Just(call)))
}

/// The same options in any order, their words in any case.
fn mixed(sent: Vec<Sent>) -> impl Strategy<Value = Vec<Sent>> {
    (Just(sent).prop_shuffle(), any::<u64>()).prop_map(|(mut sent, cases)| {
        for (option, words) in sent.iter_mut().enumerate() {
            let recased =
                words[0].char_indices().map(|(place, letter)| match cases >> ((option * 9 + place) % 64) & 1 {
                    0 => letter,
                    _ => letter.to_ascii_lowercase(),
                });
            words[0] = recased.collect();
        }
        sent
    })
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn options_mean_the_same_in_any_order_and_case((sent, meant) in call()) {
        prop_assert_eq!(parse_call(&sent), Ok(meant));
    }

    #[test]
    fn no_option_may_be_given_twice((sent, _) in call(), which: prop::sample::Index, at: prop::sample::Index) {
        prop_assume!(!sent.is_empty());
        let mut doubled = sent.clone();
        let again = which.get(&sent).clone();
        doubled.insert(at.index(sent.len() + 1), again.clone());
        let option = again[0].to_ascii_uppercase();
        prop_assert_eq!(parse_call(&doubled), Err(format!("ERR syntax error: only one {option} may be given")));
    }

    #[test]
    fn a_call_that_ends_before_a_value_is_refused((sent, _) in call(), option in select(vec!["LEASE", "BLOCK", "EARLY"])) {
        let mut cut: Vec<Sent> = sent.into_iter().filter(|words| !words[0].eq_ignore_ascii_case(option)).collect();
        cut.push(vec![option.to_owned()]);
        let refusal = parse_call(&cut).unwrap_err();
        prop_assert!(refusal.starts_with("ERR syntax error") && refusal.contains(option), "{}", refusal);
    }

    /// Of all whole numbers, those of the range and no others, and of their spellings only the plain one.
    #[test]
    fn a_number_is_in_its_range_and_plain(asked in edges(), least in 0..=5_u64, most in edges()) {
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let range = least..=most;
        let expected = u64::try_from(asked).ok().filter(|number| range.contains(number));
        let read = |text: String| number(text.as_bytes(), "LEASE", range.clone(), MS).ok();
        prop_assert_eq!(read(asked.to_string()), expected);
        for spelling in [format!("0{asked}"), format!("+{asked}"), format!(" {asked}"), format!("{asked} "), format!("{asked}.0")] {
            prop_assert_eq!(read(spelling), None);
        }
    }

    #[test]
    fn a_refused_number_is_told_its_range(text in "\\PC{0,20}", range in range()) {
        let refusal = number(text.as_bytes(), "BLOCK", range.clone(), MS).map_err(|refusal| told(&refusal));
        let (least, most) = range.into_inner();
        match refusal {
            Ok(number) => prop_assert!((least..=most).contains(&number)),
            Err(said) => prop_assert_eq!(
                said,
                format!("ERR BLOCK must be a whole number from {least} to {most} milliseconds")
            ),
        }
    }

    #[test]
    fn a_token_is_any_number_that_every_language_holds(asked in edges()) {
        let expected = u64::try_from(asked).ok().filter(|number| (1..1 << 53).contains(number));
        prop_assert_eq!(token(asked.to_string().as_bytes()).ok().map(Token::get), expected);
    }

    #[test]
    fn times_mean_the_same_in_any_order_and_case((sent, soft, windows) in times()) {
        let read = freshness::parse(sent.iter().flatten().map(String::as_bytes)).map_err(|refusal| told(&refusal)).unwrap();
        prop_assert_eq!((read.soft, read.swr_ms, read.sie_ms), (soft, windows[0], windows[1]));
        prop_assert_eq!(u64::from(read.jitter_percent), windows[2]);
    }

    #[test]
    fn words_that_are_no_options_are_named_and_the_others_listed(word in "[a-zA-Z]{1,12}") {
        let known = ["LEASE", "BLOCK", "NOSTALE", "FORCE", "EARLY", "TIED"];
        prop_assume!(!known.iter().any(|option| option.eq_ignore_ascii_case(&word)));
        let refusal = parse_call(&[vec![word.clone()]]).unwrap_err();
        prop_assert!(refusal.contains(&format!("'{word}'")), "{}", refusal);
        prop_assert!(known.iter().all(|option| refusal.contains(option)), "{}", refusal);
    }

    /// Whatever bytes they hold, words never forge a second line, and the default of the setting is not exceeded.
    #[test]
    fn any_words_are_read_or_refused_in_one_line(words in vec(vec(any::<u8>(), 0..30), 0..8)) {
        match Call::parse(words.iter().map(Vec::as_slice), true) {
            Ok(call) => prop_assert!((1..=LEASE_MAX_MS.get()).contains(&call.ask.lease_ms)),
            Err(refusal) => {
                let said = refusal.sentence();
                prop_assert!(said.to_bytes().iter().all(|byte| byte.is_ascii_graphic() || *byte == b' '));
                prop_assert!(said.to_bytes().starts_with(b"ERR ") && said.to_bytes().len() < 300);
            }
        }
    }
}

/// Numbers of all sizes, and often one beside a limit.
fn edges() -> impl Strategy<Value = u128> {
    let limits = select(vec![0_u128, 1, 300_000, 1 << 31, 1 << 32, 1 << 53, 1 << 63, 1 << 64, u128::MAX - 1]);
    prop_oneof![
        any::<u64>().prop_map(u128::from),
        (limits, 0..3_u128).prop_map(|(limit, by)| (limit + 1).saturating_sub(by))
    ]
}

fn range() -> impl Strategy<Value = RangeInclusive<u64>> {
    (0..=100_u64, 100..=MAX_MS).prop_map(|(least, most)| least..=most)
}

/// The times of a FILL as they are sent, and what they mean: the soft deadline, and SWR, SIE and JITTER.
fn times() -> impl Strategy<Value = (Vec<Sent>, SoftDeadline, [u64; 3])> {
    let windows = (0..=MAX_MS, 0..=MAX_MS, 0..=100_u64);
    let soft = (select(vec!["EX", "PX", "EXAT", "PXAT"]), 1..=MAX_MS / 1000);
    (soft, windows, any::<[bool; 3]>()).prop_flat_map(|((unit, number), (swr, sie, jitter), given)| {
        let deadline = match unit {
            "EX" => SoftDeadline::In(number * 1000),
            "PX" => SoftDeadline::In(number),
            "EXAT" => SoftDeadline::At(UnixMs::new(number * 1000)),
            _ => SoftDeadline::At(UnixMs::new(number)),
        };
        let mut sent = vec![vec![unit.to_owned(), number.to_string()]];
        let mut meant = [0; 3];
        for (place, (word, window)) in [("SWR", swr), ("SIE", sie), ("JITTER", jitter)].into_iter().enumerate() {
            if given[place] {
                sent.push(vec![word.to_owned(), window.to_string()]);
                meant[place] = window;
            }
        }
        (mixed(sent), Just(deadline), Just(meant))
    })
}
