//! What a caller wants, and how its arguments are read.

use crate::error::Error;
use crate::node::leases::ClientId;
use crate::options::{self as defined, CommandOption};
use crate::policy::is_group_name;
use crate::tag::TAG_LIMIT;
use crate::token::Token;
use crate::words::{number, Once, Words};
use alloc::vec::Vec;

mod labels;
mod listing;
mod options;
#[cfg(test)]
mod tests;

pub use labels::{Labelled, Labels};
pub use listing::{Cost, LeasesWanted, TopWanted};
pub use options::Options;

/// What can be asked for since the second version, by command and option, in lower case: CACHE.VERSION lists them.
pub const OPTIONS: [&str; 22] = [
    "states bulk",
    "cache.getorlock notify",
    "cache.getorlock group",
    "cache.getorlock once",
    "cache.mgetorlock notify",
    "cache.mgetorlock group",
    "cache.mgetorlock once",
    "cache.fill tags",
    "cache.fill version",
    "cache.set tags",
    "cache.set version",
    "cache.set nx",
    "cache.touch tags",
    "cache.touch version",
    "cache.renew tied",
    "cache.invalidatetag swr",
    "cache.outdate px",
    "cache.leases group",
    "cache.mget",
    "cache.tags",
    "cache.top",
    "corral.groups",
];

/// The longest failure message, in bytes.
pub const MESSAGE_LIMIT: usize = 1024;

/// A call on one key, once its arguments are read.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub enum Request<'a> {
    /// GETORLOCK, or one key of MGETORLOCK.
    GetOrLock {
        options: Options<'a>,
        caller: Caller,
        form: Form,
    },
    Fill {
        token: Token,
        value: &'a [u8],
        #[cfg_attr(feature = "trace", serde(borrow))]
        labels: Labels<'a>,
    },
    Touch {
        token: Token,
        #[cfg_attr(feature = "trace", serde(borrow))]
        labels: Labels<'a>,
    },
    Set {
        value: &'a [u8],
        #[cfg_attr(feature = "trace", serde(borrow))]
        labels: Labels<'a>,
    },
    Fail {
        token: Token,
        message: &'a [u8],
        backoff_ms: Option<u64>,
    },
    Pass {
        token: Token,
        pass_ms: Option<u64>,
    },
    Release {
        token: Token,
    },
    Renew {
        token: Token,
        ms: u64,
        caller: Caller,
        is_tied: bool,
    },
    Invalidate,
    Outdate {
        version: u64,
        floor_ms: Option<u64>,
    },
    /// Nobody's: the timer has a look, and what is due is done.
    Visit,
    /// The same on a replica, where nothing is changed.
    Observe,
}

/// Who calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct Caller {
    /// 0 in a script or under another module's call: there is no connection.
    pub client: ClientId,
}

/// How a call may be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub enum Form {
    /// GETORLOCK.
    Single,
    /// One key of MGETORLOCK: never parked, never an error where another key could be served.
    Batch,
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
    let swr_ms = only_option(rest.iter().copied(), &defined::INVALIDATE_TAG)?;
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

fn group_name(word: &[u8]) -> Result<&[u8], Error> {
    match is_group_name(word) {
        true => Ok(word),
        false => Err(Error::GroupName { given: crate::error::legible(word) }),
    }
}
