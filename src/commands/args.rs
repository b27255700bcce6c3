//! Reading arguments into types that cannot be wrong.
//!
//! Knows nothing of the server: words come in as bytes, so that tests and fuzzers can feed it anything.

use std::ops::RangeInclusive;

use corral_lease::token::Token;

use crate::redis::refusal::{legible, Refusal};
use crate::redis::settings::{decimal, Number};

/// The words of a call that are still to be read.
pub struct Words<'a, I: Iterator<Item = &'a [u8]>> {
    words: I,
    /// The options of the command, for who gives another.
    allowed: &'static str,
}

/// An option that may be given once.
pub struct Once<T> {
    option: &'static str,
    value: Option<T>,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Words<'a, I> {
    pub fn new(words: I, allowed: &'static str) -> Self {
        Self { words, allowed }
    }

    /// The next option's word.
    pub fn option(&mut self) -> Option<&'a [u8]> {
        self.words.next()
    }

    /// The value after `option`.
    pub fn value(&mut self, option: &'static str) -> Result<&'a [u8], Refusal> {
        self.words.next().ok_or(Refusal::Incomplete { option })
    }

    /// The number after `option`.
    pub fn number(&mut self, option: &'static str, range: RangeInclusive<u64>, unit: &str) -> Result<u64, Refusal> {
        number(self.value(option)?, option, range, unit)
    }

    /// What to say of a word that is no option.
    pub fn unknown(&self, word: &[u8]) -> Refusal {
        Refusal::UnknownOption { given: legible(word), allowed: self.allowed }
    }
}

impl<T> Once<T> {
    pub const fn new(option: &'static str) -> Self {
        Self { option, value: None }
    }

    pub const fn name(&self) -> &'static str {
        self.option
    }

    /// Whether `word` is this option's.
    pub fn is(&self, word: &[u8]) -> bool {
        word.eq_ignore_ascii_case(self.option.as_bytes())
    }

    pub fn set(&mut self, value: T) -> Result<(), Refusal> {
        match self.value.replace(value) {
            None => Ok(()),
            Some(_) => Err(Refusal::Doubled { option: self.option }),
        }
    }

    pub const fn is_given(&self) -> bool {
        self.value.is_some()
    }

    pub fn get(self) -> Option<T> {
        self.value
    }
}

/// A whole number in `range`: digits, no sign, no leading zero, as everywhere in Redis.
pub fn number(word: &[u8], name: &'static str, range: RangeInclusive<u64>, unit: &str) -> Result<u64, Refusal> {
    digits(word).filter(|number| range.contains(number)).ok_or_else(|| Refusal::Range {
        name,
        range: format!("a whole number from {} to {}{unit}", range.start(), range.end()),
    })
}

/// `[OPTION ms]` as all that is left of a call: in the range of `setting`, which is also what stands for it.
pub fn only_option<'a>(
    words: impl Iterator<Item = &'a [u8]>,
    option: &'static str,
    setting: &Number,
) -> Result<u64, Refusal> {
    let mut words = Words::new(words, option);
    let mut given = Once::new(option);
    while let Some(word) = words.option() {
        if !given.is(word) {
            return Err(words.unknown(word));
        }
        let ms = words.number(option, setting.range(), MS)?;
        given.set(ms)?;
    }
    Ok(given.get().unwrap_or_else(|| setting.get()))
}

/// The unit of most numbers here.
pub const MS: &str = " milliseconds";

/// A lease's token.
pub fn token(word: &[u8]) -> Result<Token, Refusal> {
    digits(word).and_then(Token::new).ok_or_else(|| Refusal::Range {
        name: "token",
        range: format!("a whole number from 1 to {}, as LOCK or REFRESH gave it", Token::MAX),
    })
}

/// XFetch's beta.
pub fn beta(word: &[u8]) -> Result<f64, Refusal> {
    const MAX: f64 = 100.0;
    decimal(word)
        .filter(|beta| *beta <= MAX)
        .ok_or_else(|| Refusal::Range { name: "EARLY", range: format!("a number from 0 to {MAX}") })
}

fn digits(word: &[u8]) -> Option<u64> {
    let leading_zero = word.len() > 1 && word.first() == Some(&b'0');
    if word.is_empty() || leading_zero {
        return None;
    }
    word.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain_digits() {
        assert_eq!(digits(b"0"), Some(0));
        assert_eq!(digits(b"18446744073709551615"), Some(u64::MAX));
        for bad in
            ["", "-1", "+1", "01", "1 ", " 1", "1.0", "1e3", "0x1", "18446744073709551616", "999999999999999999999"]
        {
            assert_eq!(digits(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_range_error_says_what_is_allowed() {
        let refusal = number(b"0", "LEASE", 1..=300_000, MS).unwrap_err();
        let said = refusal.sentence().to_str().unwrap().to_owned();
        assert_eq!(said, "ERR LEASE must be a whole number from 1 to 300000 milliseconds");
    }
}
