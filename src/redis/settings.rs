//! The settings: `corral.NAME` in CONFIG SET and redis.conf, `NAME value` as arguments of loadmodule.

use std::ffi::CStr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use corral_lease::time::MAX_MS;

use super::sys::config::{self, Shown};
use super::sys::{Argv, Context};

/// A whole number.
#[derive(Debug)]
pub struct Number {
    pub name: &'static CStr,
    min: u64,
    max: u64,
    value: AtomicU64,
}

/// yes or no.
#[derive(Debug)]
pub struct Flag {
    pub name: &'static CStr,
    value: AtomicBool,
}

/// A decimal number, written as one ("1.5"): in hundredths it would be read wrong.
#[derive(Debug)]
pub struct Decimal {
    pub name: &'static CStr,
    max: u32,
    bits: AtomicU64,
    pub(super) shown: Shown,
}

/// The longest lease that can be allowed: a day. Longer ones are locks, which this is not.
pub const LEASE_LIMIT_MS: u64 = 86_400_000;
/// A day, too: a source that fails for longer should be asked once a day all the same.
const BACKOFF_LIMIT_MS: u64 = 86_400_000;
/// More clients than one server can hold connections.
const WAITERS_LIMIT: u64 = 1_000_000;

pub static LEASE_MS: Number = Number::new(c"lease-ms", 10_000, 1..=LEASE_LIMIT_MS);
pub static LEASE_MAX_MS: Number = Number::new(c"lease-max-ms", 300_000, 1..=LEASE_LIMIT_MS);
pub static SWR_MS: Number = Number::new(c"swr-ms", 0, 0..=MAX_MS);
pub static SIE_MS: Number = Number::new(c"sie-ms", 0, 0..=MAX_MS);
pub static JITTER_PERCENT: Number = Number::new(c"jitter-percent", 0, 0..=100);
pub static EARLY_BETA: Decimal = Decimal::new(c"early-beta", 100);
pub static BACKOFF_MS: Number = Number::new(c"backoff-ms", 1000, 0..=BACKOFF_LIMIT_MS);
pub static PASS_MS: Number = Number::new(c"pass-ms", 60_000, 1..=MAX_MS);
pub static MAX_WAITERS: Number = Number::new(c"max-waiters", 10_000, 0..=WAITERS_LIMIT);
pub static MAX_WAITERS_PER_KEY: Number = Number::new(c"max-waiters-per-key", 10_000, 0..=WAITERS_LIMIT);
pub static LOG_EXPIRED_LEASES: Flag = Flag::new(c"log-expired-leases", true);

static NUMBERS: [&Number; 9] = [
    &LEASE_MS,
    &LEASE_MAX_MS,
    &SWR_MS,
    &SIE_MS,
    &JITTER_PERCENT,
    &BACKOFF_MS,
    &PASS_MS,
    &MAX_WAITERS,
    &MAX_WAITERS_PER_KEY,
];

/// The length of a lease whose caller names none.
pub fn default_lease_ms() -> u64 {
    LEASE_MS.get().min(LEASE_MAX_MS.get())
}

/// Registers every setting with the server and takes over its configuration file. Arguments first: they are the
/// defaults that CONFIG REWRITE compares with.
pub fn register(context: &Context, arguments: Argv) -> Result<(), String> {
    take_arguments(arguments)?;
    let registered = NUMBERS.iter().all(|setting| config::register_number(context, setting))
        && config::register_decimal(context, &EARLY_BETA)
        && config::register_flag(context, &LOG_EXPIRED_LEASES)
        && config::load(context);
    registered.then_some(()).ok_or_else(|| "the server declined the settings".to_owned())
}

fn take_arguments(arguments: Argv) -> Result<(), String> {
    let mut arguments = arguments.from(0);
    while let Some(name) = arguments.next() {
        let shown = String::from_utf8_lossy(name).into_owned();
        let value = arguments.next().ok_or_else(|| format!("the argument {shown} needs a value"))?;
        let name = name.strip_prefix(b"corral.").unwrap_or(name);
        let is = |setting: &CStr| name.eq_ignore_ascii_case(setting.to_bytes());
        if let Some(setting) = NUMBERS.iter().find(|setting| is(setting.name)) {
            let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            setting.set(number.ok_or_else(|| setting.complaint())?)?;
        } else if is(EARLY_BETA.name) {
            EARLY_BETA.parse(value)?;
        } else if is(LOG_EXPIRED_LEASES.name) {
            LOG_EXPIRED_LEASES.parse(value)?;
        } else {
            return Err(format!("there is no setting {shown}, allowed are {}", names()));
        }
    }
    Ok(())
}

/// Every name, for who gives another.
fn names() -> String {
    let others = [EARLY_BETA.name, LOG_EXPIRED_LEASES.name];
    let names = NUMBERS.iter().map(|setting| setting.name).chain(others);
    names.map(CStr::to_string_lossy).collect::<Vec<_>>().join(", ")
}

impl Number {
    const fn new(name: &'static CStr, default: u64, range: RangeInclusive<u64>) -> Self {
        Self { name, min: *range.start(), max: *range.end(), value: AtomicU64::new(default) }
    }

    #[inline]
    pub fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    pub const fn range(&self) -> RangeInclusive<u64> {
        self.min..=self.max
    }

    pub fn set(&self, value: u64) -> Result<(), String> {
        if !self.range().contains(&value) {
            return Err(self.complaint());
        }
        self.value.store(value, Ordering::Relaxed);
        Ok(())
    }

    pub fn complaint(&self) -> String {
        format!("{} must be a whole number from {} to {}", self.name.to_string_lossy(), self.min, self.max)
    }
}

impl Flag {
    const fn new(name: &'static CStr, default: bool) -> Self {
        Self { name, value: AtomicBool::new(default) }
    }

    pub fn get(&self) -> bool {
        self.value.load(Ordering::Relaxed)
    }

    pub fn set(&self, value: bool) {
        self.value.store(value, Ordering::Relaxed);
    }

    fn parse(&self, text: &[u8]) -> Result<(), String> {
        match text {
            b"yes" => self.set(true),
            b"no" => self.set(false),
            _ => return Err(format!("{} must be yes or no", self.name.to_string_lossy())),
        }
        Ok(())
    }
}

impl Decimal {
    const fn new(name: &'static CStr, max: u32) -> Self {
        Self { name, max, bits: AtomicU64::new(0), shown: Shown::new() }
    }

    #[inline]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }

    /// As it is shown and kept by CONFIG REWRITE.
    pub fn text(&self) -> String {
        self.get().to_string()
    }

    pub fn parse(&self, text: &[u8]) -> Result<(), String> {
        // What CONFIG REWRITE writes must be readable again: `.5` becomes `0.5`.
        let is_rereadable = |number: &f64| decimal(number.to_string().as_bytes()).is_some();
        let number = decimal(text).filter(|number| (0.0..=f64::from(self.max)).contains(number)).filter(is_rereadable);
        let number =
            number.ok_or_else(|| format!("{} must be a number from 0 to {}", self.name.to_string_lossy(), self.max))?;
        self.bits.store(number.to_bits(), Ordering::Relaxed);
        Ok(())
    }
}

/// Digits and at most one point: no sign, exponent, infinity or NaN.
pub fn decimal(text: &[u8]) -> Option<f64> {
    const LIMIT: usize = 20;
    let plain = text.len() <= LIMIT && text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let digit = text.iter().any(u8::is_ascii_digit);
    if !plain || !digit {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_plain_numbers() {
        assert_eq!(decimal(b"1.5"), Some(1.5));
        assert_eq!(decimal(b"0"), Some(0.0));
        for bad in ["", ".", "-1", "1e3", "inf", "NaN", "1.2.3", "+1", " 1", "123456789012345678901"] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad}");
        }
    }
}
