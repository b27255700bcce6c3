//! What FILL, SET and TOUCH say of a value: how long it is fresh, its tags, its version.

use super::tag_name;
use crate::error::Error;
use crate::freshness::{Freshness, SoftDeadline};
use crate::options::{self, CommandOption, EX, EXAT, JITTER, NX, PX, PXAT, SIE, SWR, TAGS, VERSION};
use crate::time::UnixMs;
use crate::words::{digits, Once, Words};
use alloc::format;
use alloc::vec::Vec;

/// What FILL, SET and TOUCH say of a value.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct Labels<'a> {
    pub freshness: Freshness,
    /// In the order they were given, each once; `None` without TAGS.
    #[cfg_attr(feature = "trace", serde(borrow))]
    pub tags: Option<Vec<&'a [u8]>>,
    pub version: Option<u64>,
    /// SET alone.
    pub only_if_absent: bool,
}

/// Which command labels are read for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Labelled {
    Fill,
    Set,
}

const SOFT: &str = "EX, PX, EXAT or PXAT";

impl<'a> Labels<'a> {
    pub fn parse(words: impl Iterator<Item = &'a [u8]>, of: Labelled) -> Result<Self, Error> {
        let allowed: &'static [CommandOption] = match of {
            Labelled::Fill => &options::LABELS,
            Labelled::Set => &options::SET,
        };
        let mut words = Words::new(words, allowed);
        let mut soft = Once::of(SOFT);
        let (mut swr, mut sie, mut jitter) = (Once::new(&SWR), Once::new(&SIE), Once::new(&JITTER));
        let (mut tags, mut version, mut nx) = (Once::new(&TAGS), Once::new(&VERSION), Once::new(&NX));
        while let Some(word) = words.option() {
            if let Some(unit) = SoftOption::named(word) {
                let value = words.value(&unit.option())?;
                soft.set(unit.parse(value)?)?;
            } else if swr.is(word) {
                swr.set(words.number(&SWR)?)?;
            } else if sie.is(word) {
                sie.set(words.number(&SIE)?)?;
            } else if jitter.is(word) {
                let percent = words.number(&JITTER)?;
                jitter.set(u8::try_from(percent).unwrap_or(100))?;
            } else if tags.is(word) {
                let count = words.number(&TAGS)?;
                tags.set(read_tags(&mut words, count)?)?;
            } else if version.is(word) {
                version.set(words.number(&VERSION)?)?;
            } else if nx.is(word) && of == Labelled::Set {
                nx.set(())?;
            } else {
                return Err(words.unknown(word));
            }
        }
        if !soft.is_given() {
            // A window or a spread around a deadline that never comes says nothing, and was surely not meant.
            for (is_given, option) in
                [(swr.is_given(), swr.name()), (sie.is_given(), sie.name()), (jitter.is_given(), jitter.name())]
            {
                if is_given {
                    return Err(Error::Needs { option, needed: SOFT });
                }
            }
        }
        let freshness = Freshness {
            soft: soft.get().unwrap_or(SoftDeadline::Never),
            swr_ms: swr.get(),
            sie_ms: sie.get(),
            jitter_percent: jitter.get(),
        };
        Ok(Self { freshness, tags: tags.get(), version: version.get(), only_if_absent: nx.is_given() })
    }
}

/// `count` tags, each once.
fn read_tags<'a, I: Iterator<Item = &'a [u8]>>(words: &mut Words<'a, I>, count: u64) -> Result<Vec<&'a [u8]>, Error> {
    let mut tags: Vec<&[u8]> = Vec::new();
    for found in 0..usize::try_from(count).unwrap_or(usize::MAX) {
        let tag = words.option().ok_or(Error::Count { name: TAGS.word, of: "tags", given: count, found })?;
        let tag = tag_name(tag)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

/// The four ways to say when the value becomes stale. At most one is given.
#[derive(Clone, Copy)]
enum SoftOption {
    Ex,
    Px,
    ExAt,
    PxAt,
}

impl SoftOption {
    fn named(word: &[u8]) -> Option<Self> {
        let all = [SoftOption::Ex, SoftOption::Px, SoftOption::ExAt, SoftOption::PxAt];
        all.into_iter().find(|option| word.eq_ignore_ascii_case(option.option().word.as_bytes()))
    }

    const fn option(self) -> CommandOption {
        match self {
            SoftOption::Ex => EX,
            SoftOption::Px => PX,
            SoftOption::ExAt => EXAT,
            SoftOption::PxAt => PXAT,
        }
    }

    fn parse(self, word: &[u8]) -> Result<SoftDeadline, Error> {
        let option = self.option();
        let (least, most, unit) = option.range();
        let given = digits(word).filter(|given| (least..=most).contains(given)).ok_or_else(|| Error::Range {
            name: option.word,
            range: format!(
                "a whole number from {least} to {most}{unit} (PXAT 1 gives the value to those who wait and stores nothing)"
            ),
        })?;
        Ok(match self {
            SoftOption::Ex => SoftDeadline::In(given.saturating_mul(1000)),
            SoftOption::Px => SoftDeadline::In(given),
            SoftOption::ExAt => SoftDeadline::At(UnixMs::new(given.saturating_mul(1000))),
            SoftOption::PxAt => SoftDeadline::At(UnixMs::new(given)),
        })
    }
}
