//! The options of GETORLOCK and MGETORLOCK.

use super::group_name;
use crate::decision::Class;
use crate::error::Error;
use crate::time::MAX_MS;
use crate::words::{beta, packed, Words, MS};

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
        let allowed = match may_block {
            true => "LEASE, BLOCK, NOSTALE, FORCE, EARLY, TIED, NOTIFY, GROUP, ONCE",
            false => "LEASE, NOSTALE, FORCE, EARLY, TIED, NOTIFY, GROUP, ONCE",
        };
        let mut words = Words::new(words, allowed);
        let mut options = Self::default();
        while let Some(word) = words.option() {
            match packed(word) {
                LEASE => once("LEASE", &mut options.lease_ms, words.number("LEASE", 1..=lease_max_ms, MS)?)?,
                BLOCK if may_block => once("BLOCK", &mut options.block_ms, words.number("BLOCK", 0..=MAX_MS, MS)?)?,
                GROUP => once("GROUP", &mut options.group, group_name(words.value("GROUP")?)?)?,
                EARLY => once("EARLY", &mut options.early_beta, beta(words.value("EARLY")?)?)?,
                ONCE => once("ONCE", &mut options.once_ms, words.number("ONCE", 0..=MAX_MS, MS)?)?,
                NOSTALE => flag("NOSTALE", &mut options.class.no_stale)?,
                FORCE => flag("FORCE", &mut options.class.force)?,
                TIED => flag("TIED", &mut options.is_tied)?,
                NOTIFY => flag("NOTIFY", &mut options.notify)?,
                _ => return Err(words.unknown(word)),
            }
        }
        Ok(options)
    }
}

fn once<T>(option: &'static str, place: &mut Option<T>, value: T) -> Result<(), Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::Doubled { option }),
    }
}

fn flag(option: &'static str, place: &mut bool) -> Result<(), Error> {
    match core::mem::replace(place, true) {
        false => Ok(()),
        true => Err(Error::Doubled { option }),
    }
}

const LEASE: u64 = packed(b"LEASE");
const BLOCK: u64 = packed(b"BLOCK");
const GROUP: u64 = packed(b"GROUP");
const EARLY: u64 = packed(b"EARLY");
const ONCE: u64 = packed(b"ONCE");
const NOSTALE: u64 = packed(b"NOSTALE");
const FORCE: u64 = packed(b"FORCE");
const TIED: u64 = packed(b"TIED");
const NOTIFY: u64 = packed(b"NOTIFY");
