//! Arbitrary words as the arguments of every command: refused in one clean line, or parsed into what is in range.

#![no_main]

use corral_core::error::Error;
use corral_core::freshness::FreshnessDefaults;
use corral_core::options;
use corral_core::policy::{self, is_group_name};
use corral_core::request::{self, Labelled, Labels, LeasesWanted, Options, TopWanted};
use corral_core::tag::{TAGS_LIMIT, TAG_LIMIT};
use corral_core::time::{UnixMs, MAX_MS};
use corral_core::words::{beta, number, token};
use libfuzzer_sys::fuzz_target;

const LEASE_MAX_MS: u64 = 300_000;

/// Words whose case does not matter. The names of tags and groups are whoever's who gives them.
const OPTIONS: [&str; 25] = [
    "LEASE", "BLOCK", "NOSTALE", "FORCE", "EARLY", "TIED", "NOTIFY", "GROUP", "ONCE", "EX", "PX", "EXAT", "PXAT",
    "SWR", "SIE", "JITTER", "TAGS", "VERSION", "NX", "BACKOFF", "COUNT", "MINAGE", "BY", "WAIT", "BUILD",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, line)) = bytes.split_first() else { return };
    groups(line);
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let shouted: Vec<Vec<u8>> = words.iter().map(|word| shout(word)).collect();
    let shouted: Vec<&[u8]> = shouted.iter().map(Vec::as_slice).collect();
    assert_eq!(parsed(*choice, &words), parsed(*choice, &shouted));
});

fn shout(word: &[u8]) -> Vec<u8> {
    match OPTIONS.iter().any(|option| word.eq_ignore_ascii_case(option.as_bytes())) {
        true => word.to_ascii_uppercase(),
        false => word.to_vec(),
    }
}

/// What these words are to one of the parsers, as a line that can be compared.
fn parsed(choice: u8, words: &[&[u8]]) -> Result<String, String> {
    let first = words.first().copied().unwrap_or_default();
    let each = words.iter().copied();
    let outcome = match choice % 14 {
        choice @ (0 | 1) => Options::parse(each, choice == 0, LEASE_MAX_MS).map(|options| {
            assert!(options.lease_ms.is_none_or(|ms| (1..=LEASE_MAX_MS).contains(&ms)));
            assert!(options.early_beta.is_none_or(|beta| (0.0..=100.0).contains(&beta)));
            assert!(options.block_ms.is_none_or(|ms| ms <= MAX_MS && choice == 0));
            assert!(options.once_ms.is_none_or(|ms| ms <= MAX_MS));
            assert!(options.group.is_none_or(is_group_name));
            format!("{:?}", Options { group: None, ..options })
        }),
        2 => Labels::parse(each, Labelled::Fill).map(|labels| labelled(&labels)),
        3 => Labels::parse(each, Labelled::Set).map(|labels| labelled(&labels)),
        4 => request::only_option(each, &options::FAIL).map(|ms| format!("{ms:?}")),
        5 => request::only_option(each, &options::PASS).map(|ms| format!("{ms:?}")),
        6 => request::only_flag(each, &options::RENEW).map(|is_given| is_given.to_string()),
        7 => LeasesWanted::parse(each).map(|wanted| format!("{:?}", (wanted.count, wanted.min_age_ms))),
        8 => TopWanted::parse(each).map(|wanted| {
            assert!((1..=1000).contains(&wanted.count));
            format!("{wanted:?}")
        }),
        9 => request::invalidate_tag(words).map(|(tags, swr_ms)| {
            assert!(!tags.is_empty() && tags.iter().all(|tag| (1..=TAG_LIMIT).contains(&tag.len())));
            format!("{swr_ms:?}")
        }),
        10 => token(first).map(|token| {
            assert!((1..1 << 53).contains(&token.get()));
            token.get().to_string()
        }),
        11 => beta(first).map(|beta| {
            assert!((0.0..=100.0).contains(&beta));
            beta.to_string()
        }),
        12 => request::version(first).and_then(|version| {
            assert!(version < 1 << 53);
            request::message(words.last().copied().unwrap_or_default()).map(|_| version.to_string())
        }),
        _ => number(first, "numkeys", 1..=i32::MAX as u64, "").map(|count| count.to_string()),
    };
    outcome.map_err(|error| clean(&error))
}

fn labelled(labels: &Labels) -> String {
    let tags = labels.tags.as_deref().unwrap_or(&[]);
    assert!(tags.len() <= TAGS_LIMIT && tags.iter().all(|tag| (1..=TAG_LIMIT).contains(&tag.len())));
    assert!((1..tags.len()).all(|at| !tags[..at].contains(&tags[at])), "a tag twice");
    assert!(labels.version.is_none_or(|version| version < 1 << 53));
    let defaults = FreshnessDefaults { swr_ms: MAX_MS, sie_ms: 0, jitter_percent: 100 };
    for now in [0, 1_700_000_000_000, MAX_MS] {
        for chance in [0.0, 0.5, 0.999_999] {
            let times = labels.freshness.resolve(UnixMs::new(now), defaults, || chance);
            assert!(times.servable_until() >= times.fresh_until);
        }
    }
    format!("{:?}", (labels.freshness, labels.version, labels.only_if_absent))
}

/// `corral.groups`, read all or nothing.
fn groups(text: &[u8]) {
    match policy::parse(text, LEASE_MAX_MS) {
        Ok(policies) => assert!(policies.keys().all(|name| is_group_name(name))),
        Err(complaint) => {
            assert!(complaint.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{complaint:?}");
            assert!(complaint.len() < 400, "{complaint:?}");
        }
    }
}

/// A refusal's line, which must not let a client's bytes forge another.
fn clean(error: &Error) -> String {
    let sentence = error.sentence();
    assert!(sentence.starts_with("ERR "), "{sentence:?}");
    assert!(sentence.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{sentence:?}");
    assert!(sentence.len() < 400, "{sentence:?}");
    // What was given is quoted as it came.
    sentence.to_ascii_uppercase()
}
