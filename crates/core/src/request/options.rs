//! The options of GETORLOCK and MGETORLOCK.

use super::group_name;
use crate::decision::Class;
use crate::error::Error;
use crate::options::{self as defined, CommandOption};
use crate::words::{beta, packed, Words};

/// The options of GETORLOCK and its batch form. What is left out comes from the group's policy, then the settings.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct Options<'a> {
    pub lease_ms: Option<u64>,
    /// 0: no limit of its own.
    pub block_ms: Option<u64>,
    pub class: Class,
    pub early_beta: Option<f64>,
    pub is_tied: bool,
    pub notify: bool,
    #[cfg_attr(feature = "trace", serde(borrow))]
    pub group: Option<&'a [u8]>,
    /// 0: without end.
    pub once_ms: Option<u64>,
}

impl<'a> Options<'a> {
    /// Reads the options after the key; `may_block` for GETORLOCK, whose batch form has no BLOCK.
    pub fn parse(words: impl Iterator<Item = &'a [u8]>, may_block: bool, lease_max_ms: u64) -> Result<Self, Error> {
        let allowed: &'static [CommandOption] = match may_block {
            true => &defined::GET_OR_LOCK,
            false => &defined::MGET_OR_LOCK,
        };
        let mut words = Words::new(words, allowed);
        let mut options = Self::default();
        while let Some(word) = words.option() {
            match packed(word) {
                LEASE => {
                    let lease_ms = words.number_up_to(&defined::LEASE, lease_max_ms)?;
                    once(&defined::LEASE, &mut options.lease_ms, lease_ms)?;
                }
                BLOCK if may_block => once(&defined::BLOCK, &mut options.block_ms, words.number(&defined::BLOCK)?)?,
                GROUP => once(&defined::GROUP, &mut options.group, group_name(words.value(&defined::GROUP)?)?)?,
                EARLY => once(&defined::EARLY, &mut options.early_beta, beta(words.value(&defined::EARLY)?)?)?,
                ONCE => once(&defined::ONCE, &mut options.once_ms, words.number(&defined::ONCE)?)?,
                NOSTALE => flag(&defined::NOSTALE, &mut options.class.no_stale)?,
                FORCE => flag(&defined::FORCE, &mut options.class.force)?,
                TIED => flag(&defined::TIED, &mut options.is_tied)?,
                NOTIFY => flag(&defined::NOTIFY, &mut options.notify)?,
                _ => return Err(words.unknown(word)),
            }
        }
        Ok(options)
    }
}

#[inline(always)]
fn once<T>(option: &CommandOption, place: &mut Option<T>, value: T) -> Result<(), Error> {
    if place.is_some() {
        return Err(Error::Doubled { option: option.word });
    }
    *place = Some(value);
    Ok(())
}

#[inline(always)]
fn flag(option: &CommandOption, place: &mut bool) -> Result<(), Error> {
    if *place {
        return Err(Error::Doubled { option: option.word });
    }
    *place = true;
    Ok(())
}

const LEASE: u64 = packed(defined::LEASE.word.as_bytes());
const BLOCK: u64 = packed(defined::BLOCK.word.as_bytes());
const GROUP: u64 = packed(defined::GROUP.word.as_bytes());
const EARLY: u64 = packed(defined::EARLY.word.as_bytes());
const ONCE: u64 = packed(defined::ONCE.word.as_bytes());
const NOSTALE: u64 = packed(defined::NOSTALE.word.as_bytes());
const FORCE: u64 = packed(defined::FORCE.word.as_bytes());
const TIED: u64 = packed(defined::TIED.word.as_bytes());
const NOTIFY: u64 = packed(defined::NOTIFY.word.as_bytes());
