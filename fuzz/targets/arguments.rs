//! Arbitrary words as the arguments of every command: refused in one clean line, or parsed into what is in range.
//!
//! The module itself cannot be linked here, because its allocator is the server's. Its source can: without the one macro
//! in src/lib.rs that asks for the allocator, it is ordinary code, and whatever does not call the server runs anywhere.

#![no_main]
#![allow(dead_code, reason = "most of the module is not called from here")]

#[path = "../../src/commands/mod.rs"]
mod commands;
#[path = "../../src/redis/mod.rs"]
mod redis;

use commands::args::{beta, number, only_option, token, Once, Words};
use commands::ask::Call;
use commands::{freshness, leases};
use corral_lease::time::{UnixMs, MAX_MS};
use libfuzzer_sys::fuzz_target;
use redis::refusal::Refusal;
use redis::settings;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, line)) = bytes.split_first() else { return };
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let shouted: Vec<Vec<u8>> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
    // The case of a word never matters.
    assert_eq!(parsed(*choice, words.iter().copied()), parsed(*choice, shouted.iter().map(Vec::as_slice)));
});

/// What these words are to one of the parsers, as a line that can be compared.
fn parsed<'a>(choice: u8, words: impl Iterator<Item = &'a [u8]> + Clone) -> Result<String, String> {
    let first = words.clone().next().unwrap_or_default();
    let outcome = match choice % 9 {
        0 | 1 => Call::parse(words, choice % 9 == 0).map(|call| {
            assert!(settings::LEASE_MAX_MS.range().contains(&call.ask.lease_ms));
            assert!((0.0..=100.0).contains(&call.ask.early_beta));
            assert!(call.block_ms.is_none_or(|ms| ms <= MAX_MS && choice % 9 == 0));
            format!("{call:?}")
        }),
        2 => freshness::parse(words).map(|freshness| {
            assert!(freshness.swr_ms <= MAX_MS && freshness.sie_ms <= MAX_MS && freshness.jitter_percent <= 100);
            for now in [0, 1_700_000_000_000, MAX_MS] {
                for chance in [0.0, 0.5, 0.999_999] {
                    let _ = freshness.resolve(UnixMs::new(now), || chance);
                }
            }
            format!("{freshness:?}")
        }),
        3 => only_option(words, "BACKOFF", &settings::BACKOFF_MS).map(|ms| {
            assert!(settings::BACKOFF_MS.range().contains(&ms));
            ms.to_string()
        }),
        4 => only_option(words, "PX", &settings::PASS_MS).map(|ms| {
            assert!(settings::PASS_MS.range().contains(&ms));
            ms.to_string()
        }),
        5 => leases::Wanted::parse(words).map(|wanted| format!("{wanted:?}")),
        6 => token(first).map(|token| {
            assert!((1..1 << 53).contains(&token.get()));
            token.get().to_string()
        }),
        7 => beta(first).map(|beta| {
            assert!((0.0..=100.0).contains(&beta));
            beta.to_string()
        }),
        _ => number(first, "numkeys", 1..=i32::MAX as u64, "").map(|count| {
            assert!((1..=i32::MAX as u64).contains(&count));
            // The words of a batch after its keys.
            let mut rest = Words::new(words, "");
            let mut flag = Once::new("TIED");
            while let Some(word) = rest.option() {
                if flag.is(word) {
                    let _ = flag.set(());
                }
            }
            count.to_string()
        }),
    };
    outcome.map_err(|refusal| clean(&refusal))
}

/// A refusal's line, which must not let a client's bytes forge another.
fn clean(refusal: &Refusal) -> String {
    let sentence = refusal.sentence();
    let bytes = sentence.to_bytes();
    assert!(bytes.starts_with(b"ERR "), "{sentence:?}");
    assert!(bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' '), "{sentence:?}");
    assert!(bytes.len() < 300, "{sentence:?}");
    // What was given is quoted as it came.
    sentence.to_string_lossy().to_ascii_uppercase()
}
