//! Reading arguments into types that cannot be wrong.

use alloc::format;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::error::{legible, Error};
use crate::options::{CommandOption, EARLY};
use crate::token::Token;

/// The words of a call that are still to be read.
pub struct Words<'a, I: Iterator<Item = &'a [u8]>> {
    words: I,
    /// The options of the command, for who gives another.
    allowed: &'static [CommandOption],
}

/// An option that may be given once.
pub struct Once<T> {
    option: &'static str,
    value: Option<T>,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Words<'a, I> {
    pub const fn new(words: I, allowed: &'static [CommandOption]) -> Self {
        Self { words, allowed }
    }

    /// The next option's word.
    pub fn option(&mut self) -> Option<&'a [u8]> {
        self.words.next()
    }

    /// The value after `option`.
    pub fn value(&mut self, option: &CommandOption) -> Result<&'a [u8], Error> {
        self.words.next().ok_or(Error::Incomplete { option: option.word })
    }

    /// The number after `option`.
    pub fn number(&mut self, option: &CommandOption) -> Result<u64, Error> {
        self.number_up_to(option, option.range().1)
    }

    /// The same where a setting says how large it may be.
    pub fn number_up_to(&mut self, option: &CommandOption, most: u64) -> Result<u64, Error> {
        let (least, _, unit) = option.range();
        number(self.value(option)?, option.word, least..=most, unit)
    }

    /// What to say of a word that is no option.
    pub fn unknown(&self, word: &[u8]) -> Error {
        let allowed: Vec<&str> = self.allowed.iter().map(|option| option.word).collect();
        Error::UnknownOption { given: legible(word), allowed: allowed.join(", ") }
    }
}

impl<T> Once<T> {
    pub const fn new(option: &CommandOption) -> Self {
        Self::of(option.word)
    }

    /// Of several that exclude each other: what they are called together.
    pub const fn of(option: &'static str) -> Self {
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
    let (_, most, _) = EARLY.range();
    decimal(word)
        .filter(|beta| *beta <= most as f64)
        .ok_or_else(|| Error::Range { name: EARLY.word, range: format!("a number from 0 to {most}") })
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
        let error = number(b"0", "LEASE", 1..=300_000, crate::options::MS).unwrap_err();
        assert_eq!(error.sentence(), "ERR LEASE must be a whole number from 1 to 300000 milliseconds");
    }
}
