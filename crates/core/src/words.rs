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
    #[inline]
    pub fn value(&mut self, option: &CommandOption) -> Result<&'a [u8], Error> {
        self.words.next().ok_or(Error::Incomplete { option: option.word })
    }

    /// The number after `option`.
    #[inline(always)]
    pub fn number(&mut self, option: &CommandOption) -> Result<u64, Error> {
        self.number_up_to(option, option.range().1)
    }

    /// The same where a setting says how large it may be.
    #[inline(always)]
    pub fn number_up_to(&mut self, option: &CommandOption, most: u64) -> Result<u64, Error> {
        let (least, _, unit) = option.range();
        match self.words.next() {
            Some(word) => number(word, option.word, least..=most, unit),
            None => Err(Error::Incomplete { option: option.word }),
        }
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
#[inline(always)]
pub fn number(word: &[u8], name: &'static str, range: RangeInclusive<u64>, unit: &str) -> Result<u64, Error> {
    match digits(word) {
        Some(number) if *range.start() <= number && number <= *range.end() => Ok(number),
        _ => Err(out_of_range(name, &range, unit)),
    }
}

#[cold]
fn out_of_range(name: &'static str, range: &RangeInclusive<u64>, unit: &str) -> Error {
    Error::Range { name, range: format!("a whole number from {} to {}{unit}", range.start(), range.end()) }
}

/// A word of at most seven bytes as a number, in capitals: an option, which has letters only, is told by one comparison, and
/// a call has up to nine to be told apart. 0 for any longer word.
#[inline(always)]
pub const fn packed(word: &[u8]) -> u64 {
    if word.len() > 7 {
        return 0;
    }
    // A NUL at the beginning is a byte, too.
    let (mut number, mut rest) = (1, word);
    while let [first, behind @ ..] = rest {
        // Without this bit a letter is a capital, and nothing else becomes a letter.
        number = number << 8 | (*first & !0x20) as u64;
        rest = behind;
    }
    number
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

#[inline(always)]
pub(crate) fn digits(word: &[u8]) -> Option<u64> {
    // A number of so many digits is no larger than a u64 holds.
    const SAFE: usize = 19;
    if word.is_empty() || (word.len() > 1 && word.first() == Some(&b'0')) {
        return None;
    }
    match word.split_at_checked(SAFE) {
        None => plain_digits(word),
        Some((plain, rest)) => long_digits(plain_digits(plain)?, rest),
    }
}

/// Of so few that their number is no larger than a u64 holds.
#[inline(always)]
fn plain_digits(word: &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for byte in word {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    Some(number)
}

#[cold]
fn long_digits(number: u64, rest: &[u8]) -> Option<u64> {
    rest.iter().try_fold(number, |number, byte| {
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
    fn words_are_told_apart_by_a_number() {
        assert_eq!(packed(b"lEase"), packed(b"LEASE"));
        let words: [&[u8]; 6] = [b"LEASF", b"LEAS", b"LEASEE", b"", b"\0LEASE", b"LEASELEASE"];
        let others = (0..=255_u8).filter(|byte| !byte.eq_ignore_ascii_case(&b'E'));
        assert!(others.into_iter().all(|byte| packed(&[b'L', byte]) != packed(b"LE")));
        assert!(words.iter().all(|word| packed(word) != packed(b"LEASE")));
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
