//! Reading arguments into types that cannot be wrong.

use alloc::format;
use core::ops::RangeInclusive;

use crate::error::{legible, Error};
use crate::token::Token;

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

/// The unit of most numbers.
pub const MS: &str = " milliseconds";

impl<'a, I: Iterator<Item = &'a [u8]>> Words<'a, I> {
    pub fn new(words: I, allowed: &'static str) -> Self {
        Self { words, allowed }
    }

    /// The next option's word.
    pub fn option(&mut self) -> Option<&'a [u8]> {
        self.words.next()
    }

    /// The value after `option`.
    pub fn value(&mut self, option: &'static str) -> Result<&'a [u8], Error> {
        self.words.next().ok_or(Error::Incomplete { option })
    }

    /// The number after `option`.
    pub fn number(&mut self, option: &'static str, range: RangeInclusive<u64>, unit: &str) -> Result<u64, Error> {
        number(self.value(option)?, option, range, unit)
    }

    /// What to say of a word that is no option.
    pub fn unknown(&self, word: &[u8]) -> Error {
        Error::UnknownOption { given: legible(word), allowed: self.allowed }
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
    #[inline]
    pub fn is(&self, word: &[u8]) -> bool {
        word.eq_ignore_ascii_case(self.option.as_bytes())
    }

    pub fn set(&mut self, value: T) -> Result<(), Error> {
        match self.value.replace(value) {
            None => Ok(()),
            Some(_) => Err(Error::Doubled { option: self.option }),
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
pub fn number(word: &[u8], name: &'static str, range: RangeInclusive<u64>, unit: &str) -> Result<u64, Error> {
    digits(word).filter(|number| range.contains(number)).ok_or_else(|| Error::Range {
        name,
        range: format!("a whole number from {} to {}{unit}", range.start(), range.end()),
    })
}

/// A lease's token.
pub fn token(word: &[u8]) -> Result<Token, Error> {
    digits(word).and_then(Token::new).ok_or_else(|| Error::Range {
        name: "token",
        range: format!("a whole number from 1 to {}, as LOCK or REFRESH gave it", Token::MAX),
    })
}

/// XFetch's beta.
pub fn beta(word: &[u8]) -> Result<f64, Error> {
    const MAX: f64 = 100.0;
    decimal(word)
        .filter(|beta| *beta <= MAX)
        .ok_or_else(|| Error::Range { name: "EARLY", range: format!("a number from 0 to {MAX}") })
}

/// Digits and at most one point: no sign, exponent, infinity or NaN.
pub fn decimal(text: &[u8]) -> Option<f64> {
    const LIMIT: usize = 20;
    let is_plain = text.len() <= LIMIT && text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    if !is_plain || !text.iter().any(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

pub(crate) fn digits(word: &[u8]) -> Option<u64> {
    let has_leading_zero = word.len() > 1 && word.first() == Some(&b'0');
    if word.is_empty() || has_leading_zero {
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
    fn decimals_are_plain_numbers() {
        assert_eq!(decimal(b"1.5"), Some(1.5));
        assert_eq!(decimal(b"0"), Some(0.0));
        for bad in ["", ".", "-1", "1e3", "inf", "NaN", "1.2.3", "+1", " 1", "123456789012345678901"] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_range_error_says_what_is_allowed() {
        let error = number(b"0", "LEASE", 1..=300_000, MS).unwrap_err();
        assert_eq!(error.sentence(), "ERR LEASE must be a whole number from 1 to 300000 milliseconds");
    }
}
