//! What a caller wants, and how its arguments are read.

use alloc::format;
use alloc::vec::Vec;

use crate::decision::Class;
use crate::error::Error;
use crate::freshness::{Freshness, SoftDeadline};
use crate::options::{
    self, CommandOption, Takes, BLOCK, BY, EARLY, FORCE, GROUP, JITTER, LEASE, NOSTALE, NOTIFY, NX, ONCE,
};
use crate::options::{COUNT, EX, EXAT, MINAGE, PX, PXAT, SIE, SWR, TAGS, TIED, TOP_COUNT, VERSION};
use crate::policy::is_group_name;
use crate::tag::TAG_LIMIT;
use crate::time::UnixMs;
use crate::token::Token;
use crate::words::{beta, digits, number, Once, Words};

/// The longest failure message, in bytes.
pub const MESSAGE_LIMIT: usize = 1024;

/// The options of GETORLOCK and its batch form. What is left out comes from the group's policy, then the settings.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Options<'a> {
    pub lease_ms: Option<u64>,
    /// 0: no limit of its own.
    pub block_ms: Option<u64>,
    pub class: Class,
    pub early_beta: Option<f64>,
    pub is_tied: bool,
    pub notify: bool,
    pub group: Option<&'a [u8]>,
    /// 0: without end.
    pub once_ms: Option<u64>,
}

/// What FILL, SET and TOUCH say of a value.
#[derive(Clone, PartialEq, Debug)]
pub struct Labels<'a> {
    pub freshness: Freshness,
    /// In the order they were given, each once; `None` without TAGS.
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

impl<'a> Options<'a> {
    /// Reads the options after the key; `may_block` for GETORLOCK, whose batch form has no BLOCK.
    pub fn parse(words: impl Iterator<Item = &'a [u8]>, may_block: bool, lease_max_ms: u64) -> Result<Self, Error> {
        let allowed: &'static [CommandOption] = match may_block {
            true => &options::GET_OR_LOCK,
            false => &options::MGET_OR_LOCK,
        };
        let mut words = Words::new(words, allowed);
        let (mut lease, mut block, mut early) = (Once::new(&LEASE), Once::new(&BLOCK), Once::new(&EARLY));
        let (mut no_stale, mut force, mut tied) = (Once::new(&NOSTALE), Once::new(&FORCE), Once::new(&TIED));
        let (mut notify, mut group, mut once) = (Once::new(&NOTIFY), Once::new(&GROUP), Once::new(&ONCE));
        while let Some(word) = words.option() {
            if lease.is(word) {
                lease.set(words.number_up_to(&LEASE, lease_max_ms)?)?;
            } else if block.is(word) && may_block {
                block.set(words.number(&BLOCK)?)?;
            } else if group.is(word) {
                group.set(group_name(words.value(&GROUP)?)?)?;
            } else if early.is(word) {
                early.set(beta(words.value(&EARLY)?)?)?;
            } else if no_stale.is(word) {
                no_stale.set(())?;
            } else if force.is(word) {
                force.set(())?;
            } else if tied.is(word) {
                tied.set(())?;
            } else if notify.is(word) {
                notify.set(())?;
            } else if once.is(word) {
                once.set(words.number(&ONCE)?)?;
            } else {
                return Err(words.unknown(word));
            }
        }
        Ok(Self {
            lease_ms: lease.get(),
            block_ms: block.get(),
            class: Class { no_stale: no_stale.is_given(), force: force.is_given() },
            early_beta: early.get(),
            is_tied: tied.is_given(),
            notify: notify.is_given(),
            group: group.get(),
            once_ms: once.get(),
        })
    }
}

fn group_name(word: &[u8]) -> Result<&[u8], Error> {
    match is_group_name(word) {
        true => Ok(word),
        false => Err(Error::GroupName { given: crate::error::legible(word) }),
    }
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
                tags.set(read_tags(&mut words, TAGS.word, count)?)?;
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
fn read_tags<'a, I: Iterator<Item = &'a [u8]>>(
    words: &mut Words<'a, I>,
    name: &'static str,
    count: u64,
) -> Result<Vec<&'a [u8]>, Error> {
    let mut tags: Vec<&[u8]> = Vec::new();
    for found in 0..usize::try_from(count).unwrap_or(usize::MAX) {
        let tag = words.option().ok_or(Error::Count { name, of: "tags", given: count, found })?;
        let tag = tag_name(tag)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

/// One tag as it may be given.
pub fn tag_name(word: &[u8]) -> Result<&[u8], Error> {
    match word.len() {
        0 => Err(Error::Empty { name: "a tag" }),
        1..=TAG_LIMIT => Ok(word),
        _ => Err(Error::TooLong { name: "a tag", limit: TAG_LIMIT }),
    }
}

/// `n tag [tag ...] [SWR ms]`
pub fn invalidate_tag<'a>(words: &[&'a [u8]]) -> Result<(Vec<&'a [u8]>, Option<u64>), Error> {
    let (given, rest) = words.split_first().ok_or(Error::Internal)?;
    let given = number(given, "n", 1..=i32::MAX as u64, "")?;
    let found = rest.len();
    let count = usize::try_from(given).unwrap_or(usize::MAX);
    let (tags, rest) = rest.split_at_checked(count).ok_or(Error::Count { name: "n", of: "tags", given, found })?;
    let swr_ms = only_option(rest.iter().copied(), &options::INVALIDATE_TAG)?;
    Ok((tags.iter().map(|tag| tag_name(tag)).collect::<Result<_, _>>()?, swr_ms))
}

/// `[OPTION ms]` as all that is left of a call.
pub fn only_option<'a>(
    words: impl Iterator<Item = &'a [u8]>,
    options: &'static [CommandOption; 1],
) -> Result<Option<u64>, Error> {
    let [option] = options;
    let mut words = Words::new(words, options);
    let mut given = Once::new(option);
    while let Some(word) = words.option() {
        if !given.is(word) {
            return Err(words.unknown(word));
        }
        given.set(words.number(option)?)?;
    }
    Ok(given.get())
}

/// `[FLAG]` as all that is left of a call.
pub fn only_flag<'a>(words: impl Iterator<Item = &'a [u8]>, flags: &'static [CommandOption; 1]) -> Result<bool, Error> {
    let [flag] = flags;
    let mut words = Words::new(words, flags);
    let mut given = Once::new(flag);
    while let Some(word) = words.option() {
        if !given.is(word) {
            return Err(words.unknown(word));
        }
        given.set(())?;
    }
    Ok(given.is_given())
}

/// A version of the source's.
pub fn version(word: &[u8]) -> Result<u64, Error> {
    number(word, "version", 0..=Token::MAX, "")
}

/// The message of a failure.
pub fn message(word: &[u8]) -> Result<&[u8], Error> {
    match word.len() {
        0..=MESSAGE_LIMIT => Ok(word),
        _ => Err(Error::TooLong { name: "message", limit: MESSAGE_LIMIT }),
    }
}

impl<'a> LeasesWanted<'a> {
    pub fn parse(words: impl Iterator<Item = &'a [u8]>) -> Result<Self, Error> {
        let mut words = Words::new(words, &options::LEASES);
        let (mut count, mut min_age, mut group) = (Once::new(&COUNT), Once::new(&MINAGE), Once::new(&GROUP));
        while let Some(word) = words.option() {
            if count.is(word) {
                count.set(words.number(&COUNT)?)?;
            } else if min_age.is(word) {
                min_age.set(words.number(&MINAGE)?)?;
            } else if group.is(word) {
                let name = words.value(&GROUP)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};

    fn labels(line: &str) -> Result<Labels<'_>, String> {
        Labels::parse(line.split_whitespace().map(str::as_bytes), Labelled::Fill)
            .map_err(|error| error.sentence().to_string())
    }

    fn options(line: &str) -> Result<Options<'_>, String> {
        Options::parse(line.split_whitespace().map(str::as_bytes), true, 300_000)
            .map_err(|error| error.sentence().to_string())
    }

    #[test]
    fn options_come_in_any_order_and_case() {
        let read = labels("sie 5 jitter 10 version 3 Swr 7 tags 2 b b ex 3").unwrap();
        let freshness =
            Freshness { soft: SoftDeadline::In(3000), swr_ms: Some(7), sie_ms: Some(5), jitter_percent: Some(10) };
        assert_eq!(read.freshness, freshness);
        assert_eq!((read.tags, read.version), (Some(std::vec![&b"b"[..]]), Some(3)));
        let read = options("once 0 GROUP a.b Block 5 notify tied").unwrap();
        assert_eq!((read.once_ms, read.group, read.block_ms), (Some(0), Some(&b"a.b"[..]), Some(5)));
    }

    #[test]
    fn each_may_be_given_once_and_the_four_exclude_each_other() {
        assert_eq!(labels("EX 1 PX 1").unwrap_err(), "ERR syntax error: only one EX, PX, EXAT or PXAT may be given");
        assert_eq!(labels("EX 1 SWR 1 swr 1").unwrap_err(), "ERR syntax error: only one SWR may be given");
        assert_eq!(options("TIED tied").unwrap_err(), "ERR syntax error: only one TIED may be given");
    }

    #[test]
    fn windows_need_a_soft_deadline() {
        for option in ["SWR 5", "SIE 5", "JITTER 5"] {
            assert!(labels(option).unwrap_err().contains("needs EX, PX, EXAT or PXAT"), "{option}");
        }
    }

    #[test]
    fn tags_are_counted() {
        for (given, complaint) in [
            ("TAGS 2 a", "ERR TAGS must be the number of tags that follow: it is 2, and 1 words follow"),
            ("TAGS 0", "ERR TAGS must be a whole number from 1 to 32"),
            ("TAGS 33 a", "ERR TAGS must be a whole number from 1 to 32"),
        ] {
            assert_eq!(labels(given).unwrap_err(), complaint);
        }
        let long = [b'x'; 256];
        assert_eq!(tag_name(&long), Err(Error::TooLong { name: "a tag", limit: 255 }));
        assert!(tag_name(b"").is_err() && tag_name(b"\0").is_ok());
        assert_eq!(invalidate_tag(&[b"1", b"a", b"SWR", b"5"]), Ok((std::vec![&b"a"[..]], Some(5))));
        assert!(invalidate_tag(&[b"3", b"a"]).is_err());
    }
}
