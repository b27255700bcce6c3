//! What GETORLOCK, its batch form and GET share: the options, and the look at a key.

use corral_lease::ask::{Answer, Ask};
use corral_lease::decision::{Cause, Decision};
use corral_lease::entry::Entry;
use corral_lease::key::Asked;
use corral_lease::time::{UnixMs, MAX_MS};

use super::args::{beta, Once, Words, MS};
use crate::redis::keyspace::{self, Over};
use crate::redis::refusal::Refusal;
use crate::redis::settings;
use crate::redis::stats::STATS;
use crate::redis::sys::command::{Arg, Kind};
use crate::redis::sys::key::{Holds, OpenKey};
use crate::redis::sys::{context, Context, KeyName};

pub const LEASE_ARG: Arg = Arg::option(c"LEASE", c"milliseconds", Kind::Integer);
pub const NOSTALE_ARG: Arg = Arg::flag(c"NOSTALE", c"no-stale");
pub const FORCE_ARG: Arg = Arg::flag(c"FORCE", c"force");
pub const EARLY_ARG: Arg = Arg::option(c"EARLY", c"beta", Kind::Double);
pub const TIED_ARG: Arg = Arg::flag(c"TIED", c"tied");

/// A parsed call.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Call {
    pub ask: Ask,
    /// `None`: never blocks. 0: no limit of its own.
    pub block_ms: Option<u64>,
}

impl Call {
    /// A call without options.
    pub fn plain() -> Self {
        let ask = Ask {
            lease_ms: settings::default_lease_ms(),
            early_beta: settings::EARLY_BETA.get(),
            no_stale: false,
            force: false,
            tied: false,
        };
        Self { ask, block_ms: None }
    }

    /// Parses the options after the key; `may_block` for GETORLOCK, whose batch form has no BLOCK.
    pub fn parse<'a>(words: impl Iterator<Item = &'a [u8]>, may_block: bool) -> Result<Self, Refusal> {
        let allowed = match may_block {
            true => "LEASE, BLOCK, NOSTALE, FORCE, EARLY, TIED",
            false => "LEASE, NOSTALE, FORCE, EARLY, TIED",
        };
        let mut words = Words::new(words, allowed);
        let (mut lease, mut block, mut early) = (Once::new("LEASE"), Once::new("BLOCK"), Once::new("EARLY"));
        let (mut no_stale, mut force, mut tied) = (Once::new("NOSTALE"), Once::new("FORCE"), Once::new("TIED"));
        while let Some(word) = words.option() {
            if lease.is(word) {
                lease.set(words.number("LEASE", 1..=settings::LEASE_MAX_MS.get(), MS)?)?;
            } else if block.is(word) && may_block {
                block.set(words.number("BLOCK", 0..=MAX_MS, MS)?)?;
            } else if early.is(word) {
                early.set(beta(words.value("EARLY")?)?)?;
            } else if no_stale.is(word) {
                no_stale.set(())?;
            } else if force.is(word) {
                force.set(())?;
            } else if tied.is(word) {
                tied.set(())?;
            } else {
                return Err(words.unknown(word));
            }
        }
        let plain = Self::plain();
        let ask = Ask {
            lease_ms: lease.get().unwrap_or(plain.ask.lease_ms),
            early_beta: early.get().unwrap_or(plain.ask.early_beta),
            no_stale: no_stale.is_given(),
            force: force.is_given(),
            tied: tied.is_given(),
        };
        Ok(Self { ask, block_ms: block.get() })
    }
}

/// What a look at a key led to.
pub enum Look<H> {
    /// The value is fresh, and `hit` has dealt with it where it lies.
    Hit(H),
    Asked(Asked),
}

/// Looks at one key at `now_us` (microseconds since the epoch), and takes its lease if that is what was decided.
pub fn look<H>(
    context: &Context,
    now_us: u64,
    name: KeyName,
    ask: &Ask,
    hit: impl FnOnce(&Entry, Option<u64>) -> H,
) -> Result<Look<H>, Refusal> {
    let now = UnixMs::from_micros(now_us);
    let mut key = OpenKey::read(context, name);
    let decision = match key.entry() {
        Some(entry) => {
            let decision = entry.decide(ask, now, context::random);
            count(decision);
            match decision {
                Decision::Hit { stale_in_ms } => return Ok(Look::Hit(hit(entry, stale_in_ms))),
                Decision::Behind { .. } => return Ok(Look::Asked(entry.behind(now))),
                Decision::Lock | Decision::Refresh(_) => decision,
                other => return Ok(Look::Asked(Asked::Answer(entry.answer(other, now)))),
            }
        }
        None => match key.kind() {
            Holds::Nothing | Holds::Entry => {
                count(Decision::Lock);
                Decision::Lock
            }
            Holds::String => {
                count(Decision::Hit { stale_in_ms: None });
                return Ok(Look::Asked(Asked::Answer(string(context, name, key, now))));
            }
            Holds::Foreign => return Err(Refusal::WrongType),
        },
    };
    drop(key);
    if !context.flags().is_master() {
        return Err(Refusal::ReadOnly);
    }
    // By a clock of its own: in a script or transaction the lease counts from here, not from where that began.
    Ok(Look::Asked(keyspace::step(context, name, Over::Entries, None, |key, from| key.ask(ask, decision, from))))
}

/// An ordinary string answers HIT with its own time to live.
pub fn string(context: &Context, name: KeyName, key: OpenKey, now: UnixMs) -> Answer {
    let fresh_until = key.deadline(now);
    drop(key);
    Answer::hit(context.string_at(name).unwrap_or_default().into(), fresh_until, now)
}

fn count(decision: Decision) {
    match decision {
        Decision::Hit { .. } => STATS.hits.add(1),
        Decision::Stale { .. } => {
            STATS.stale_hits.add(1);
            STATS.rebuilds_saved.add(1);
        }
        Decision::Refresh(Cause::Stale) => STATS.stale_hits.add(1),
        Decision::Refresh(Cause::Early) => STATS.early_refreshes.add(1),
        // Counted as a lease granted, like every grant.
        Decision::Refresh(Cause::Forced) => {}
        Decision::Lock | Decision::Behind { .. } | Decision::Pass { .. } | Decision::Fail { .. } => STATS.misses.add(1),
    }
}
