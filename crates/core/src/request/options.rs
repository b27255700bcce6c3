//! The options of GETORLOCK and MGETORLOCK.

use super::group_name;
use crate::decision::Class;
use crate::error::Error;
use crate::time::MAX_MS;
use crate::words::{beta, Once, Words, MS};

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
        let (mut lease, mut block, mut early) = (Once::new("LEASE"), Once::new("BLOCK"), Once::new("EARLY"));
        let (mut no_stale, mut force, mut tied) = (Once::new("NOSTALE"), Once::new("FORCE"), Once::new("TIED"));
        let (mut notify, mut group, mut once) = (Once::new("NOTIFY"), Once::new("GROUP"), Once::new("ONCE"));
        while let Some(word) = words.option() {
            if lease.is(word) {
                lease.set(words.number("LEASE", 1..=lease_max_ms, MS)?)?;
            } else if block.is(word) && may_block {
                block.set(words.number("BLOCK", 0..=MAX_MS, MS)?)?;
            } else if group.is(word) {
                group.set(group_name(words.value("GROUP")?)?)?;
            } else if early.is(word) {
                early.set(beta(words.value("EARLY")?)?)?;
            } else if no_stale.is(word) {
                no_stale.set(())?;
            } else if force.is(word) {
                force.set(())?;
            } else if tied.is(word) {
                tied.set(())?;
            } else if notify.is(word) {
                notify.set(())?;
            } else if once.is(word) {
                once.set(words.number("ONCE", 0..=MAX_MS, MS)?)?;
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
