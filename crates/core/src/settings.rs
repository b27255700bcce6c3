//! The settings: one definition each, from which CONFIG, loadmodule's arguments and the documents come.

use alloc::format;
use alloc::string::{String, ToString};

use crate::freshness::FreshnessDefaults;
use crate::lease::LEASE_LIMIT_MS;
use crate::policy::Policy;
use crate::time::MAX_MS;
use crate::words::{decimal, digits};

/// One setting: `corral.NAME` in CONFIG SET and redis.conf, `NAME value` as an argument of loadmodule.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub kind: Kind,
    /// One line for redis.conf and the documents.
    pub meaning: &'static str,
}

/// What a setting can be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// A whole number.
    Number { least: u64, most: u64, default: u64 },
    /// yes or no.
    Flag { default: bool },
    /// A decimal number from 0, written as one ("1.5"): in hundredths it would be read wrong.
    Decimal { most: u32 },
    /// `corral.groups`.
    Groups,
}

/// A day: a source that fails for longer should be asked once a day all the same.
pub const BACKOFF_LIMIT_MS: u64 = 86_400_000;
/// More clients than one server can hold connections.
const WAITERS_LIMIT: u64 = 1_000_000;
/// As many names as fit into a gigabyte.
const TAGS_KEPT_LIMIT: u64 = 10_000_000;
/// A floor kept for longer than a week is a version's own job.
const FLOOR_LIMIT_MS: u64 = 7 * 86_400_000;

/// The values in force.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct Settings {
    pub lease_ms: u64,
    pub lease_max_ms: u64,
    pub swr_ms: u64,
    pub sie_ms: u64,
    pub jitter_percent: u64,
    pub early_beta: f64,
    pub backoff_ms: u64,
    pub backoff_max_ms: u64,
    pub pass_ms: u64,
    pub max_waiters: u64,
    pub max_waiters_per_key: u64,
    pub waiters_memory_percent: u64,
    pub tied_default: bool,
    pub max_tags: u64,
    pub floor_ms: u64,
    pub log_expired_leases: bool,
}

/// Every setting but `groups` (which is the policies'), in the order of the documents.
pub static SETTINGS: [Setting; 17] = [
    number("lease-ms", 1, LEASE_LIMIT_MS, 10_000, "Length of a lease whose caller says no LEASE, in ms."),
    number("lease-max-ms", 1, LEASE_LIMIT_MS, 300_000, "The longest lease that can be asked for or renewed to, in ms."),
    number(
        "swr-ms",
        0,
        MAX_MS,
        0,
        "For how many ms a stale value serves while somebody rebuilds (stale-while-revalidate).",
    ),
    number("sie-ms", 0, MAX_MS, 0, "For how many ms a stale value serves when the source fails (stale-if-error)."),
    number("jitter-percent", 0, 100, 0, "By how many percent at most fresh times are shortened, at random."),
    Setting {
        name: "early-beta",
        kind: Kind::Decimal { most: 100 },
        meaning: "XFetch's beta: above 0, values are refreshed early.",
    },
    number(
        "backoff-ms",
        0,
        BACKOFF_LIMIT_MS,
        1000,
        "For how many ms nobody is granted the lease after a failed rebuild.",
    ),
    number(
        "backoff-max-ms",
        0,
        BACKOFF_LIMIT_MS,
        0,
        "Failures in a row double the back-off up to so many ms; 0: they do not.",
    ),
    number("pass-ms", 1, MAX_MS, 60_000, "How long a key is not coalesced after CACHE.PASS, in ms."),
    number("max-waiters", 0, WAITERS_LIMIT, 10_000, "How many clients may be parked on this server."),
    number(
        "max-waiters-per-key",
        0,
        WAITERS_LIMIT,
        10_000,
        "How many clients may be parked, and how many may listen, on one key.",
    ),
    number(
        "waiters-memory-percent",
        0,
        100,
        3,
        "How much of maxmemory parked clients may hold, at 36 KB each, in percent.",
    ),
    Setting {
        name: "tied-default",
        kind: Kind::Flag { default: false },
        meaning: "Whether every lease of a connection is TIED.",
    },
    Setting { name: "groups", kind: Kind::Groups, meaning: "Groups: name option value …, separated by commas." },
    number(
        "max-tags",
        0,
        TAGS_KEPT_LIMIT,
        100_000,
        "How many tag marks are kept; forgetting one invalidates more, never less.",
    ),
    number("floor-ms", 1, FLOOR_LIMIT_MS, 60_000, "How long CACHE.OUTDATE's floor is kept, in ms."),
    Setting {
        name: "log-expired-leases",
        kind: Kind::Flag { default: true },
        meaning: "Whether expired leases are logged, at most one a second.",
    },
];

const fn number(name: &'static str, least: u64, most: u64, default: u64, meaning: &'static str) -> Setting {
    Setting { name, kind: Kind::Number { least, most, default }, meaning }
}

impl Setting {
    pub fn named(name: &[u8]) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| name.eq_ignore_ascii_case(setting.name.as_bytes()))
    }

    /// What to say of a value that is none.
    pub fn complaint(&self) -> String {
        let name = self.name;
        match self.kind {
            Kind::Number { least, most, .. } => format!("{name} must be a whole number from {least} to {most}"),
            Kind::Flag { .. } => format!("{name} must be yes or no"),
            Kind::Decimal { most } => format!("{name} must be a number from 0 to {most}"),
            Kind::Groups => format!("{name} must be name option value ..., separated by commas"),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let mut settings = Self {
            lease_ms: 0,
            lease_max_ms: 0,
            swr_ms: 0,
            sie_ms: 0,
            jitter_percent: 0,
            early_beta: 0.0,
            backoff_ms: 0,
            backoff_max_ms: 0,
            pass_ms: 0,
            max_waiters: 0,
            max_waiters_per_key: 0,
            waiters_memory_percent: 0,
            tied_default: false,
            max_tags: 0,
            floor_ms: 0,
            log_expired_leases: false,
        };
        for setting in &SETTINGS {
            match setting.kind {
                Kind::Number { default, .. } => {
                    if let Some(value) = settings.number_mut(setting.name) {
                        *value = default;
                    }
                }
                Kind::Flag { default } => {
                    if let Some(value) = settings.flag_mut(setting.name) {
                        *value = default;
                    }
                }
                Kind::Decimal { .. } | Kind::Groups => {}
            }
        }
        settings
    }
}

impl Settings {
    /// What a value in no group with a policy is given.
    pub fn freshness(&self, policy: &Policy) -> FreshnessDefaults {
        FreshnessDefaults {
            swr_ms: policy.swr_ms.unwrap_or(self.swr_ms),
            sie_ms: policy.sie_ms.unwrap_or(self.sie_ms),
            jitter_percent: policy.jitter_percent.unwrap_or(u8::try_from(self.jitter_percent).unwrap_or(100)),
        }
    }

    /// Settings that exclude each other.
    pub fn check(&self) -> Result<(), String> {
        match self.lease_ms <= self.lease_max_ms {
            true => Ok(()),
            false => Err(format!("lease-ms {} must not be above lease-max-ms {}", self.lease_ms, self.lease_max_ms)),
        }
    }

    /// Sets one setting from its text.
    pub fn set(&mut self, setting: &Setting, text: &[u8]) -> Result<(), String> {
        let complaint = || setting.complaint();
        match setting.kind {
            Kind::Number { least, most, .. } => {
                let number = digits(text).filter(|number| (least..=most).contains(number)).ok_or_else(complaint)?;
                *self.number_mut(setting.name).ok_or_else(complaint)? = number;
            }
            Kind::Flag { .. } => {
                let flag = match text {
                    b"yes" => true,
                    b"no" => false,
                    _ => return Err(complaint()),
                };
                *self.flag_mut(setting.name).ok_or_else(complaint)? = flag;
            }
            Kind::Decimal { most } => {
                // What CONFIG REWRITE writes must be readable again: `.5` becomes `0.5`.
                let is_rereadable = |number: &f64| decimal(number.to_string().as_bytes()).is_some();
                let number = decimal(text).filter(|number| (0.0..=f64::from(most)).contains(number));
                self.early_beta = number.filter(is_rereadable).ok_or_else(complaint)?;
            }
            Kind::Groups => return Err(complaint()),
        }
        Ok(())
    }

    /// One setting as text; empty for `groups`.
    pub fn text(&self, setting: &Setting) -> String {
        match setting.kind {
            Kind::Number { .. } => self.number(setting.name).unwrap_or(0).to_string(),
            Kind::Flag { .. } => if self.flag(setting.name).unwrap_or(false) { "yes" } else { "no" }.to_string(),
            Kind::Decimal { .. } => self.early_beta.to_string(),
            Kind::Groups => String::new(),
        }
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.clone().number_mut(name).map(|value| *value)
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        self.clone().flag_mut(name).map(|value| *value)
    }

    fn number_mut(&mut self, name: &str) -> Option<&mut u64> {
        Some(match name {
            "lease-ms" => &mut self.lease_ms,
            "lease-max-ms" => &mut self.lease_max_ms,
            "swr-ms" => &mut self.swr_ms,
            "sie-ms" => &mut self.sie_ms,
            "jitter-percent" => &mut self.jitter_percent,
            "backoff-ms" => &mut self.backoff_ms,
            "backoff-max-ms" => &mut self.backoff_max_ms,
            "pass-ms" => &mut self.pass_ms,
            "max-waiters" => &mut self.max_waiters,
            "max-waiters-per-key" => &mut self.max_waiters_per_key,
            "waiters-memory-percent" => &mut self.waiters_memory_percent,
            "max-tags" => &mut self.max_tags,
            "floor-ms" => &mut self.floor_ms,
            _ => return None,
        })
    }

    fn flag_mut(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "tied-default" => &mut self.tied_default,
            "log-expired-leases" => &mut self.log_expired_leases,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_read_and_shown() {
        let mut settings = Settings::default();
        for setting in &SETTINGS {
            let text = settings.text(setting);
            if setting.kind != Kind::Groups {
                assert_eq!(settings.set(setting, text.as_bytes()), Ok(()), "{}", setting.name);
            }
            assert!(settings.set(setting, b"x").unwrap_err().starts_with(setting.name));
        }
        assert_eq!(settings, Settings::default());
        assert!(Settings { lease_ms: 2, lease_max_ms: 1, ..settings }.check().is_err());
    }
}
