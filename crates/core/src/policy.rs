//! Groups as operators set them: `corral.groups`, one string, read all or nothing.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;

use crate::error::legible;
use crate::time::MAX_MS;
use crate::words::digits;

/// What an operator says of one group. `None` leaves it to the settings.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct Policy {
    /// Permits on this node; 0 for no limit.
    pub max: u32,
    /// Failures in a row that open the circuit; 0 for none.
    pub fails: u32,
    /// How long it stays open at first, in ms.
    pub cool_ms: u64,
    pub tied: Option<bool>,
    pub lease_ms: Option<u64>,
    /// 0: does not block.
    pub block_ms: Option<u64>,
    pub swr_ms: Option<u64>,
    pub sie_ms: Option<u64>,
    pub jitter_percent: Option<u8>,
    pub backoff_ms: Option<u64>,
}

/// The groups of one `corral.groups`, by name.
pub type Policies = BTreeMap<Arc<[u8]>, Policy>;

/// The group of calls that name none.
pub const DEFAULT: &[u8] = b"default";
/// Where names beyond the first [`NAMES_LIMIT`] are counted.
pub const OTHER: &[u8] = b"other";
/// How many names are counted each for itself.
pub const NAMES_LIMIT: usize = 1000;
const NAME_LIMIT: usize = 64;
const PERMITS_LIMIT: u64 = 1_000_000;
const COOL_LIMIT_MS: u64 = 86_400_000;

impl Policy {
    /// No limits and no policy: a group that is not configured.
    pub const NONE: Self = Self {
        max: 0,
        fails: 0,
        cool_ms: 1000,
        tied: None,
        lease_ms: None,
        block_ms: None,
        swr_ms: None,
        sie_ms: None,
        jitter_percent: None,
        backoff_ms: None,
    };
}

/// 1 to 64 of `A-Z a-z 0-9 . _ : -`, and not the one name that is reserved.
pub fn is_group_name(name: &[u8]) -> bool {
    let is_word = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(byte));
    (1..=NAME_LIMIT).contains(&name.len()) && is_word && name != OTHER
}

/// A group's name as it stands in INFO's field names, which monitoring splits at `:` and `.`.
pub fn info_name(name: &[u8]) -> String {
    name.iter().map(|byte| if matches!(byte, b':' | b'.') { '_' } else { char::from(*byte) }).collect()
}

/// Reads `name option value …, name option value …`. The complaint names the word that is wrong.
pub fn parse(text: &[u8], lease_max_ms: u64) -> Result<Policies, String> {
    let mut policies = Policies::new();
    let mut shown = BTreeSet::new();
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(policies);
    }
    for part in text.split(|byte| *byte == b',') {
        let mut words = part.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let name = words.next().ok_or("groups: a name is missing beside a comma")?;
        if !is_group_name(name) {
            return Err(format!(
                "groups: '{}' is no group's name: 1 to 64 of A-Z a-z 0-9 . _ : - and not 'other'",
                legible(name)
            ));
        }
        let policy = parse_policy(&mut words, lease_max_ms)?;
        if policies.insert(name.into(), policy).is_some() {
            return Err(format!("groups: '{}' is given twice", legible(name)));
        }
        if !shown.insert(info_name(name)) {
            return Err(format!(
                "groups: '{}' would be one with another group in INFO, where : and . become _",
                legible(name)
            ));
        }
        if policies.len() > NAMES_LIMIT {
            return Err(format!("groups: '{}' is one too many, {NAMES_LIMIT} are allowed", legible(name)));
        }
    }
    Ok(policies)
}

fn parse_policy<'a>(words: &mut impl Iterator<Item = &'a [u8]>, lease_max_ms: u64) -> Result<Policy, String> {
    let mut policy = Policy::NONE;
    let mut given = BTreeSet::new();
    while let Some(option) = words.next() {
        if !given.insert(option) {
            return Err(format!("groups: '{}' is given twice", legible(option)));
        }
        let value = words.next().ok_or_else(|| format!("groups: '{}' needs a value", legible(option)))?;
        let number = |least: u64, most: u64| {
            digits(value).filter(|number| (least..=most).contains(number)).ok_or_else(|| {
                let (option, value) = (legible(option), legible(value));
                format!("groups: {option} must be a whole number from {least} to {most}, not '{value}'")
            })
        };
        match option {
            b"max" => policy.max = number(0, PERMITS_LIMIT)? as u32,
            b"fails" => policy.fails = number(0, PERMITS_LIMIT)? as u32,
            b"cool-ms" => policy.cool_ms = number(1, COOL_LIMIT_MS)?,
            b"lease-ms" => policy.lease_ms = Some(number(1, lease_max_ms)?),
            b"block-ms" => policy.block_ms = Some(number(0, MAX_MS)?),
            b"swr-ms" => policy.swr_ms = Some(number(0, MAX_MS)?),
            b"sie-ms" => policy.sie_ms = Some(number(0, MAX_MS)?),
            b"jitter-percent" => policy.jitter_percent = Some(number(0, 100)? as u8),
            b"backoff-ms" => policy.backoff_ms = Some(number(0, COOL_LIMIT_MS)?),
            b"tied" => {
                policy.tied = Some(match value {
                    b"yes" => true,
                    b"no" => false,
                    _ => return Err(format!("groups: tied must be yes or no, not '{}'", legible(value))),
                });
            }
            _ => {
                return Err(format!(
                    "groups: '{}' is no option, allowed are max, fails, cool-ms, tied, lease-ms, block-ms, swr-ms, sie-ms, \
                     jitter-percent, backoff-ms",
                    legible(option)
                ))
            }
        }
    }
    Ok(policy)
}

/// The text as `CONFIG GET` shows it.
pub fn shown(text: &[u8]) -> String {
    core::str::from_utf8(text).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_as_they_are_meant() {
        let text = b"reports max 20 fails 5 cool-ms 2000 lease-ms 30000 block-ms 3000, search max 100 tied no";
        let policies = parse(text, 300_000).unwrap();
        let reports = &policies[&b"reports"[..]];
        assert_eq!((reports.max, reports.fails, reports.cool_ms), (20, 5, 2000));
        assert_eq!((reports.lease_ms, reports.block_ms), (Some(30_000), Some(3000)));
        assert_eq!(policies[&b"search"[..]].tied, Some(false));
        assert!(parse(b" ", 1).unwrap().is_empty());
    }

    #[test]
    fn the_complaint_names_the_word() {
        for (text, word) in [
            ("a max", "'max' needs a value"),
            ("a max x", "not 'x'"),
            ("a maxx 1", "'maxx'"),
            ("a max 1,", "beside a comma"),
            ("a max 1, a max 2", "'a' is given twice"),
            ("a max 1 max 2", "'max' is given twice"),
            ("other max 1", "'other'"),
            ("a$ max 1", "'a$'"),
            ("a lease-ms 11", "lease-ms must be a whole number from 1 to 10, not '11'"),
            ("a.b max 1, a:b max 1", "'a:b' would be one with another"),
        ] {
            let complaint = parse(text.as_bytes(), 10).unwrap_err();
            assert!(complaint.contains(word), "{text}: {complaint}");
        }
    }
}
