//! The settings: one definition each, from which CONFIG, loadmodule's arguments and the documents come.

use alloc::format;
use alloc::string::{String, ToString};
use core::ops::RangeInclusive;

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
    /// Of what it is so many; empty where it is yes or no.
    pub unit: &'static str,
    /// For redis.conf and the documents.
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

/// Every setting, in the order of the documents.
pub static SETTINGS: [Setting; 17] = [
    number("lease-ms", 1..=LEASE_LIMIT_MS, 10_000, "ms")
        .means("How long a lease lasts when neither the call nor its group says; at most lease-max-ms."),
    number("lease-max-ms", 1..=LEASE_LIMIT_MS, 300_000, "ms").means(
        "The longest lease a call may ask for, and the longest one that CACHE.RENEW can reach, counted from the grant.",
    ),
    number("swr-ms", 0..=MAX_MS, 0, "ms").means(
        "Stale-while-revalidate: how long past its soft deadline a value still serves while somebody rebuilds it, when \
         neither the fill nor the group says; 0 is not at all.",
    ),
    number("sie-ms", 0..=MAX_MS, 0, "ms").means(
        "Stale-if-error: how long past its soft deadline a value still serves while its rebuilds fail (FAIL, a deadline \
         that passed, a tie that closed), when neither the fill nor the group says; 0 is not at all.",
    ),
    number("jitter-percent", 0..=100, 0, "percent").means(
        "Shortens every fresh time by a random part of it, up to so much, when neither the fill nor the group says.",
    ),
    Setting::new("early-beta", Kind::Decimal { most: 100 }, "").means(
        "How eagerly a value is refreshed before it is stale, when the call says no EARLY: 0 is never, 1 the usual \
         choice, more is earlier.",
    ),
    number("backoff-ms", 0..=BACKOFF_LIMIT_MS, 1000, "ms").means(
        "How long nobody is granted the lease after a failure, when neither FAIL nor the group says; 0 is no pause.",
    ),
    number("backoff-max-ms", 0..=BACKOFF_LIMIT_MS, 0, "ms").means(
        "A key's failures in a row double its back-off, up to so many ms, and never below what BACKOFF asked for; 0: \
         they do not.",
    ),
    number("pass-ms", 1..=MAX_MS, 60_000, "ms")
        .means("How long a CACHE.PASS without PX lets everyone build for themselves."),
    number("max-waiters", 0..=WAITERS_LIMIT, 10_000, "clients").means(
        "The most clients parked at once on this server; beyond that, callers get WAIT at once. 0 parks nobody.",
    ),
    number("max-waiters-per-key", 0..=WAITERS_LIMIT, 10_000, "clients")
        .means("The same for one key; and as many callers may ask to be notified of one key."),
    number("waiters-memory-percent", 0..=100, 3, "percent of maxmemory").means(
        "How much of maxmemory parked clients may hold, and so evict, each counted as 36 KB. Without maxmemory it says \
         nothing.",
    ),
    Setting::new("tied-default", Kind::Flag { default: false }, "").means(
        "Whether every lease of a connection ends with its connection, as if each call said TIED. A group's tied goes \
         before it.",
    ),
    Setting::new("groups", Kind::Groups, "a list").means(
        "Limits, circuits and defaults of groups: \"name option value ..., name option value ...\", such as \"reports max \
         20 fails 5 lease-ms 30000, search max 100\".",
    ),
    number("max-tags", 0..=TAGS_KEPT_LIMIT, 100_000, "tags").means(
        "How many tags' marks are kept. Beyond, the oldest goes, and everything tagged that was built before it is \
         stale: forgetting invalidates more, never less.",
    ),
    number("floor-ms", 1..=FLOOR_LIMIT_MS, 60_000, "ms")
        .means("How long a CACHE.OUTDATE without PX keeps the key's floor."),
    Setting::new("log-expired-leases", Kind::Flag { default: true }, "").means(
        "A warning in the log, at most one a second, when a lease runs out before its fill: with key, age and holder.",
    ),
];

const fn number(name: &'static str, range: RangeInclusive<u64>, default: u64, unit: &'static str) -> Setting {
    Setting::new(name, Kind::Number { least: *range.start(), most: *range.end(), default }, unit)
}

impl Setting {
    const fn new(name: &'static str, kind: Kind, unit: &'static str) -> Self {
        Self { name, kind, unit, meaning: "" }
    }

    const fn means(self, meaning: &'static str) -> Self {
        Self { meaning, ..self }
    }

    pub fn named(name: &[u8]) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| name.eq_ignore_ascii_case(setting.name.as_bytes()))
    }

    /// What to say of a value that is none.
    pub fn complaint(&self) -> String {
        let (name, allowed) = (self.name, self.allowed());
        match self.kind {
            Kind::Number { .. } => format!("{name} must be a whole number from {allowed}"),
            Kind::Decimal { .. } => format!("{name} must be a number from {allowed}"),
            Kind::Flag { .. } | Kind::Groups => format!("{name} must be {allowed}"),
        }
    }

    /// Which values there are.
    pub fn allowed(&self) -> String {
        match self.kind {
            Kind::Number { least, most, .. } => format!("{least} to {most}"),
            Kind::Flag { .. } => "yes or no".into(),
            Kind::Decimal { most } => format!("0 to {most}"),
            Kind::Groups => "name option value ..., separated by commas".into(),
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
    /// What a value is given where its call does not say: by the group's policy, then by the settings.
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
