//! What CACHE.LEASES and CACHE.TOP are asked for.

use super::group_name;
use crate::error::Error;
use crate::options::{self, Takes, BY, COUNT, MINAGE, ONLY_GROUP, TOP_COUNT};
use crate::words::{Once, Words};

/// What CACHE.LEASES is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeasesWanted<'a> {
    pub count: usize,
    pub min_age_ms: u64,
    pub group: Option<&'a [u8]>,
}

/// What CACHE.TOP is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopWanted {
    pub count: usize,
    pub by: Cost,
}

/// What a key can cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cost {
    Wait,
    Build,
    Grants,
    Saved,
}

impl<'a> LeasesWanted<'a> {
    pub fn parse(words: impl Iterator<Item = &'a [u8]>) -> Result<Self, Error> {
        let mut words = Words::new(words, &options::LEASES);
        let (mut count, mut min_age, mut group) = (Once::new(&COUNT), Once::new(&MINAGE), Once::new(&ONLY_GROUP));
        while let Some(word) = words.option() {
            if count.is(word) {
                count.set(words.number(&COUNT)?)?;
            } else if min_age.is(word) {
                min_age.set(words.number(&MINAGE)?)?;
            } else if group.is(word) {
                let name = words.value(&ONLY_GROUP)?;
                // `other` gathers the names beyond the first thousand: to be looked at, not to be named by callers.
                group.set(if name == b"other" { name } else { group_name(name)? })?;
            } else {
                return Err(words.unknown(word));
            }
        }
        let count = count.get().map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        Ok(Self { count, min_age_ms: min_age.get().unwrap_or(0), group: group.get() })
    }
}

impl TopWanted {
    pub fn parse<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Self, Error> {
        let mut words = Words::new(words, &options::TOP);
        let (mut count, mut by) = (Once::new(&TOP_COUNT), Once::new(&BY));
        while let Some(word) = words.option() {
            if count.is(word) {
                count.set(words.number(&TOP_COUNT)?)?;
            } else if by.is(word) {
                by.set(Cost::named(words.value(&BY)?)?)?;
            } else {
                return Err(words.unknown(word));
            }
        }
        Ok(Self { count: count.get().map_or(10, |count| count as usize), by: by.get().unwrap_or(Cost::Wait) })
    }
}

impl Cost {
    fn named(word: &[u8]) -> Result<Self, Error> {
        let Takes::OneOf(words) = BY.takes else { return Err(Error::Internal) };
        let all = [Cost::Wait, Cost::Build, Cost::Grants, Cost::Saved];
        let found = all.into_iter().zip(words).find(|(_, known)| word.eq_ignore_ascii_case(known.name.to_bytes()));
        let range = || Error::Range { name: BY.word, range: "wait, build, grants or saved".into() };
        found.map(|(cost, _)| cost).ok_or_else(range)
    }
}
